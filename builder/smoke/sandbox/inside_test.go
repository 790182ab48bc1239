//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

// visit runs the box, and what is done inside meanwhile.
func (b *box) visit(inside func(ctx context.Context, in sandbox.Inside)) sandbox.Result {
	GinkgoHelper()
	visited := false
	b.Started = func(ctx context.Context, in sandbox.Inside) {
		defer GinkgoRecover()
		visited = true
		inside(ctx, in)
	}
	result, err := b.run()
	Expect(err).NotTo(HaveOccurred(), b.err.String())
	Expect(visited).To(BeTrue())
	return result
}

// get asks until there is an answer.
func get(ctx context.Context, in sandbox.Inside, address string) string {
	GinkgoHelper()
	client := http.Client{Transport: &http.Transport{DialContext: in.Dial, DisableKeepAlives: true}}
	var text []byte
	Eventually(ctx, func() error {
		resp, err := client.Get("http://" + address)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err = io.ReadAll(resp.Body)
		return err
	}).WithPolling(time.Millisecond).Should(Succeed())
	return string(text)
}

var _ = Describe("Inside", func() {
	DescribeTable("Dial reaches a server", func(address string, args ...string) {
		result := newBox(args...).visit(func(ctx context.Context, in sandbox.Inside) {
			Expect(get(ctx, in, address)).To(HavePrefix("hello from "))
			in.Stop(time.Minute)
		})
		Expect(result.Signal).To(Equal("SIGTERM"))
	},
		Entry("at once", "127.0.0.1:8080", "serve", "8080", "well"),
		Entry("that takes its time", Label("once"), "127.0.0.1:8080", "serve", "8080", "late"),
		Entry("of IPv6", Label("once"), "[::1]:8080", "serve", "8080", "six"),
	)

	It("Dial reaches a server in the network of the host", func() {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		address := free.Addr().String()
		Expect(free.Close()).To(Succeed())
		_, port, err := net.SplitHostPort(address)
		Expect(err).NotTo(HaveOccurred())
		b := newBox("serve", port, "well")
		b.Network = sandbox.Host
		b.visit(func(ctx context.Context, in sandbox.Inside) {
			Expect(get(ctx, in, address)).To(HavePrefix("hello from "))
			in.Stop(time.Minute)
		})
	})

	It("Dial reaches the loopback interface of the sandbox only", func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		defer listener.Close()
		newBox("sleep").visit(func(ctx context.Context, in sandbox.Inside) {
			_, err := in.Dial(ctx, "tcp", listener.Addr().String())
			Expect(err).To(MatchError("dial tcp " + listener.Addr().String() + ": connect: connection refused"))
			Expect(errors.Is(err, syscall.ECONNREFUSED)).To(BeTrue())
			for _, to := range [][2]string{
				{"tcp", "127.0.0.2:80"}, {"tcp", "1.1.1.1:53"}, {"tcp", "localhost:80"}, {"tcp", "127.0.0.1:http"}, {"tcp", "127.0.0.1:0"}, {"tcp", "[::1%lo]:80"},
			} {
				_, err = in.Dial(ctx, to[0], to[1])
				Expect(err).To(MatchError("dial tcp: invalid address " + to[1] + "; only ports of 127.0.0.1 and [::1] can be reached in a sandbox"))
			}
			_, err = in.Dial(ctx, "udp", "127.0.0.1:80")
			Expect(err).To(MatchError("dial udp: unknown network udp"))
			in.Stop(time.Minute)
		})
	})

	It("Dial ends with its context where nothing accepts", Label("once"), func() {
		newBox("serve", "8080", "full").visit(func(ctx context.Context, in sandbox.Inside) {
			defer in.Stop(time.Minute)
			Eventually(func() error {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				_, err := in.Dial(short, "tcp", "127.0.0.1:8080") // the first ones are queued
				return err
			}).Should(MatchError("dial tcp 127.0.0.1:8080: context deadline exceeded"))
		})
	})

	It("ends with the program", func() {
		descriptors := open()
		var kept sandbox.Inside
		var text []byte
		b := newBox("serve", "8080", "crash")
		before := mounts(b.Root)
		result := b.visit(func(ctx context.Context, in sandbox.Inside) {
			kept = in
			var conn net.Conn
			Eventually(func() (err error) {
				conn, err = in.Dial(ctx, "tcp", "127.0.0.1:8080")
				return err
			}).Should(Succeed())
			defer conn.Close()
			_, err := conn.Write([]byte("x"))
			Expect(err).NotTo(HaveOccurred())
			text, _ = io.ReadAll(conn)
			<-ctx.Done()
		})
		Expect(result.ExitCode).To(Equal(9))
		Expect(text).To(BeEmpty())
		_, err := kept.Dial(context.Background(), "tcp", "127.0.0.1:8080")
		Expect(err).To(MatchError("dial tcp 127.0.0.1:8080: the sandbox has ended"))
		kept.Stop(0)
		Expect(mounts(b.Root)).To(Equal(before))
		Eventually(func() int { return len(open()) }).Should(BeNumerically("<=", len(descriptors)), "%q at first, now %q", descriptors, open()) // earlier specs may close some
	})

	It("Stop ends a program that ignores SIGTERM", func() {
		word := "until-it-is-stopped"
		result := newBox("serve", "8080", "stubborn", word).visit(func(ctx context.Context, in sandbox.Inside) {
			get(ctx, in, "127.0.0.1:8080")
			begun := time.Now()
			in.Stop(300 * time.Millisecond)
			<-ctx.Done()
			Expect(time.Since(begun)).To(And(BeNumerically(">=", 300*time.Millisecond), BeNumerically("<", time.Minute)))
		})
		Expect(result.Signal).To(Equal("SIGKILL"))
		Expect(processes(word)).To(BeEmpty())
	})

	It("gives the program no descriptor more", func() {
		b := newBox("facts")
		b.Started = func(context.Context, sandbox.Inside) {}
		b.Watch = &sandbox.Watch{Became: func(sandbox.Program) {}}
		Expect(b.says()).To(HaveKeyWithValue("fds", "0 1 2"))
	})

	It("is not begun if the program could not be started", Label("once"), func() {
		descriptors := open()
		b := newBox()
		b.Args = []string{"/no"}
		b.Started = func(context.Context, sandbox.Inside) { defer GinkgoRecover(); Fail("started") }
		_, err := b.run()
		Expect(err).To(MatchError(ContainSubstring("executing /no")))
		Eventually(func() int { return len(open()) }).Should(BeNumerically("<=", len(descriptors)), "%q at first, now %q", descriptors, open()) // earlier specs may close some
	})

	It("ends with the caller's context", Label("once"), func() {
		ctx, cancel := context.WithCancelCause(context.Background())
		b := newBox("serve", "8080", "well")
		b.Started = func(inner context.Context, in sandbox.Inside) {
			defer GinkgoRecover()
			get(inner, in, "127.0.0.1:8080")
			cancel(errors.New("enough"))
			Eventually(inner.Done()).Should(BeClosed())
		}
		_, err := sandbox.Run(ctx, b.Spec)
		Expect(err).To(MatchError("sandbox: interrupted: enough"))
	})
})

// open returns what the descriptors of this process are.
func open() (all []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	Expect(err).NotTo(HaveOccurred())
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		all = append(all, target)
	}
	return all
}
