package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// serve is a server that is wrong in the ways of its second argument.
func serve(args []string) {
	how := args[1]
	if how == "late" {
		time.Sleep(100 * time.Millisecond)
	}
	if how == "stubborn" {
		signal.Ignore(unix.SIGTERM)
	}
	if how == "full" {
		full(number(args[0]))
	}
	host := "127.0.0.1:"
	if how == "six" {
		host = "[::1]:"
	}
	l, err := net.Listen("tcp", host+args[0])
	if err != nil {
		say("listen", err)
		os.Exit(1)
	}
	fmt.Println("listening")
	if how == "crash" {
		if conn, err := l.Accept(); err == nil {
			_, _ = conn.Read(make([]byte, 1)) // so that the client knows that it is connected
		}
		os.Exit(9)
	}
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch how {
		case "moved":
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
		case "endless":
			for {
				if _, err := w.Write([]byte("more")); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}
		fmt.Fprintf(w, "hello from %d", os.Getpid())
	}))
}

// full listens and accepts nothing, so that connections are neither made nor refused.
func full(port int) {
	fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	say("bind", unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
	say("listen", unix.Listen(fd, 0))
	time.Sleep(time.Hour)
}

// execute becomes the program of its second argument, with one more variable, as a launcher does.
func execute(args []string) {
	say("exec", syscall.Exec(args[1], append([]string{"tool"}, args[2:]...), append(os.Environ(), strings.Split(args[0], ",")...)))
}
