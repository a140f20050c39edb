# SPDX-License-Identifier: GPL-2.0
#
# One verb a target; `make help` lists them. What a verb needs is installed by
# scripts/setup.sh, what it does is in lab/; scripts/lab.sh calls both for most verbs.

# The kernel release that the series is applied to, or a revision in KDIR.
BASE ?= 7.3
# A git clone of Linux to use instead of Debian's source: it gets work trees of its
# own below build/ and, from prep, a branch; what is checked out there stays.
KDIR ?=
# A configuration of the kernel for kernel-deb.
CONFIG ?=
# Set FORCE=1 to overwrite, remove or release work that patches/ does not have.
FORCE ?=

# What `make release` made, here or elsewhere: `make demo` boots it and builds nothing.
PREBUILT ?=

# Everything that is built stays below build/.
export CARGO_TARGET_DIR := $(CURDIR)/build/cargo
export PATH := $(CURDIR)/build/tools/bin:$(PATH)

lab = scripts/lab.sh $(1) --base '$(BASE)' \
	$(if $(KDIR),--kdir '$(KDIR)') $(if $(FORCE),--force) $(2)
# For verbs without lab, which prints this by itself.
timed = TIMEFORMAT='$@ took %lR on the clock, %lU and %lS of CPU' bash -c 'time { $(1); }'

.DEFAULT_GOAL := help
.PHONY: help demo test verify kernel kernel-deb deb export shell kselftest breaks bench \
	submit-check bases prep dry-run send range-diff projects system results release clean

help: ## list these verbs
	@sed -n -e 's/^##@ \(.*\)/\n\1:/p' -e 's/^\([a-z-]*\): ## /  make \1\t/p' Makefile | expand -t 22
	@printf '\n%s\n' 'BASE=7.3 names the kernel, KDIR=/path/to/linux takes it from a git clone'

##@ Try it

demo: ## play a scene that shows what the series does; PREBUILT=DIR boots a release
	@$(if $(PREBUILT),$(call timed,scripts/prebuilt.sh "$$PREBUILT"),$(call lab,demo))

shell: ## a shell in a guest that runs the kernel
	@$(call lab,shell)

kernel-deb: ## build installable Debian packages of the kernel; CONFIG=FILE is its configuration
	@$(call lab,kernel-deb,$(if $(CONFIG),--config '$(CONFIG)'))

##@ Use it

deb: ## build Debian packages of the library, the command and the module for Python
	@$(call timed,scripts/setup.sh deb && scripts/deb.sh)

##@ Change it

kernel: ## prepare build/linux with the series as commits, and build it
	@$(call lab,kernel)

export: ## write patches/ and the mirrored files from build/linux's commits
	@$(call lab,export)

test: ## run the tests; SUITES="series guest" runs some
	@$(call lab,test,$(SUITES))

kselftest: ## run the series' selftests and the kernel's own of openat2 and exec in the guest
	@$(call lab,kselftest)

##@ Prove it

verify: ## test what takes hours, with random calls, races, other machines; ROWS="races arm64" picks
	@$(call lab,verify,$(ROWS))

breaks: ## break the code on purpose and see which suite notices; NAMES="..." picks
	@$(call lab,breaks,$(NAMES))

bench: ## count the instructions of opens, write docs/bench/, and name what got worse
	@$(call lab,bench)

results: ## put what the verbs left into docs/ and breaks' table
	@$(call lab,results)

projects: ## build and test interpreters that use the flag, attack them; NAMES="dash bash" picks
	@$(call lab,projects,$(NAMES))

system: ## boot a Debian with seven of them under MOUNT and attack it; IMAGE=1 leaves a disk image
	@scripts/setup.sh deb
	@scripts/setup.sh kernel-deb
	@$(call lab,system,$(if $(IMAGE),--image))

##@ Submit it

release: ## write bzImage, initramfs and SHA256SUMS to build/release, to publish
	@$(call lab,release)

submit-check: ## run the tools that a maintainer runs on a series; ROWS="sparse headers" picks
	@$(call lab,submit-check,$(ROWS))

bases: ## apply the series to the newest source of each kernel that Debian has
	@$(call lab,bases)

prep: ## make the series a branch of b4's in KDIR, with cover letter and addressees
	@$(call lab,prep)

dry-run: ## write the mails that b4 would send to build/mails, and say what may not be sent yet
	@$(call lab,dry-run)

send: ## have b4 send the branch of prep, unless a sign-off or another condition is missing
	@$(call lab,send)

range-diff: ## show what changed since the version that was sent last
	@$(call lab,range-diff)

##@ Tidy up

clean: ## remove what was built; ALL=1 removes downloads and tools too
	@$(call lab,clean,$(if $(ALL),--all))
