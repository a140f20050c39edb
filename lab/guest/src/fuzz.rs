// SPDX-License-Identifier: GPL-2.0

//! Random opens, and what is to be known of them outside the guest: how they are made
//! from a seed, how traces of two kernels are compared, how a failing call is shrunk.

pub mod call;
pub mod shrink;
pub mod trace;
pub mod tree;
