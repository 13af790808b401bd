// Talker is a program for the test kit's own tests.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	fmt.Println(greeting)
	if len(args) == 0 {
		return 0
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch args[0] {
	case "exit":
		fmt.Fprintln(os.Stderr, strings.Join(os.Environ(), "\n"))
		code, _ := strconv.Atoi(args[1])
		return code
	case "count":
		for n := range time.Tick(time.Millisecond) {
			fmt.Println(n.UnixNano() % 10)
		}
	default:
		fmt.Println("ready")
		<-term
	}
	return 5
}
