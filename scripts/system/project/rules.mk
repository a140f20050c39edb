# A CI's build: what one makefile includes, and tools that it builds on the way.
program: part.sh
	cp part.sh program
	chmod +x program
