package cli

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"laminate/packager/progress"
)

const (
	// pulseEvery is how often a run without a terminal looks whether it was silent.
	pulseEvery = time.Second
	// pulseAfter is after how many silent looks it says what it does.
	pulseAfter = 10
)

// A pulse keeps the log of a long run alive where no bars are: after ten seconds
// without a line it prints one about what is under way. The layers themselves get
// their line when it is known what became of them.
type pulse struct {
	printed atomic.Bool // a line, since the last look

	mu    sync.Mutex
	tasks []*task // under way, in the order in which they began

	stop, stopped chan struct{}
}

// startPulse begins to look, at each tick.
func (u *ui) startPulse(ticks <-chan time.Time) {
	p := &u.pulse
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(p.stopped)
		silent := 0
		for {
			select {
			case <-p.stop:
				return
			case <-ticks:
			}
			if silent++; p.printed.Swap(false) {
				silent = 0
			}
			if silent == pulseAfter {
				u.underWay()
				silent = 0
				p.printed.Store(false) // it was this line
			}
		}
	}()
}

// end stops looking. No line about what is under way comes afterwards.
func (p *pulse) end() {
	if p.stop != nil {
		close(p.stop)
		<-p.stopped
	}
}

func (p *pulse) begun(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks = append(p.tasks, t)
}

func (p *pulse) ended(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks = slices.DeleteFunc(p.tasks, func(other *task) bool { return other == t })
}

// underWay prints a line about the task that began first, if there is one.
func (u *ui) underWay() {
	u.pulse.mu.Lock()
	if len(u.pulse.tasks) == 0 {
		u.pulse.mu.Unlock()
		return
	}
	t, others := u.pulse.tasks[0], len(u.pulse.tasks)-1
	u.pulse.mu.Unlock()
	var far []string
	switch done := t.done.Load(); {
	case t.total > 0:
		far = append(far, fmt.Sprintf("%s of %s", bytes(done), bytes(t.total)))
	case t.verb != progress.Pulling:
		far = append(far, bytes(done)+" so far")
	}
	if others > 0 {
		far = append(far, fmt.Sprintf("%d more under way", others))
	}
	line := fmt.Sprintf("%-11s %s", t.verb, u.name(t.what))
	if len(far) > 0 {
		line += " (" + strings.Join(far, "; ") + ")"
	}
	u.line("%s", line)
}
