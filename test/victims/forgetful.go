package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
)

// A client that forgets its connections, as the other programs do.
func main() {
	user.Current()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(3)
	}
	for i := 0; i < 12; i++ {
		near, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			os.Exit(4)
		}
		far, _ := listener.Accept()
		far.Close()
		defer near.Close()
	}
	fmt.Println("ready 12")
	io.ReadAll(os.Stdin)
}
