package main

import (
	"os"

	"github.com/cereus-game/cereus/cmd/cereus/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
