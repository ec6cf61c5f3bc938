//go:build unix && !linux

package main

import (
	"os"
	"syscall"
)

func foreground(*os.File) (int, bool) { return 0, false }

func hasTerminal(*os.File) bool { return false }

func giveTerminal(*os.File, int) {}

func followStop(int, syscall.Signal) {}
