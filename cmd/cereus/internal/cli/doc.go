// Package cli holds the commands of the program cereus. Exit codes: 0 all went
// well, 1 something failed, 2 the command line is wrong.
package cli
