// Command document writes the page that package config renders to the file
// named by its argument.
package main

import (
	"fmt"
	"os"

	"github.com/cereus-game/cereus/config"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: document FILE")
		os.Exit(2)
	}
	//nolint:gosec // a page of the repository, which everybody may read
	if err := os.WriteFile(os.Args[1], []byte(config.Document()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
