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
	// pulseEvery is the interval at which a run without a terminal checks whether it was silent.
	pulseEvery = time.Second
	// pulseAfter is the number of silent intervals before it prints what is in progress.
	pulseAfter = 10
)

// A pulse keeps the log of a long run alive without progress bars: after ten seconds without a
// line, it prints one about what is in progress. Layers get their own lines when their outcome is
// known.
type pulse struct {
	printed atomic.Bool // a line was printed since the last check

	mu    sync.Mutex
	tasks []*task // in progress, in the order in which they began

	stop, stopped chan struct{}
}

// startPulse starts to check at each tick.
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

// end stops checking. No line about what is in progress is printed afterwards.
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
