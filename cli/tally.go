package cli

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/vbauerster/mpb/v8"

	"laminate/packager/progress"
)

// A tally keeps what happens to each layer until its outcome is known, so that
// it gets one line, and not one for every step: a layer that is built and then
// sent is "uploaded", one that a file gets from a registry is "downloaded". The
// lines of an output's layers come in the order of the layers. What is no layer
// gets its line when it is done.
type tally struct {
	mu      sync.Mutex
	fates   map[string]*fate // by digest
	order   []*fate          // as they came
	output  []*fate          // the layers of the images, once those are made
	printed int              // how many of output have their line
	bytes   map[progress.Verb]int64
}

// A fate is what becomes of a layer.
type fate struct {
	name              string
	size              int64
	built, downloaded bool
	inOutput          bool
	outcome           progress.Verb // "" as long as it is not known
}

// made is what became of the layer where the sink only copies it.
func (f *fate) made() progress.Verb {
	switch {
	case f.built:
		return progress.Built
	case f.downloaded:
		return "downloaded"
	}
	return progress.Reused
}

// of returns the fate of a layer. The caller holds the lock.
func (t *tally) of(what progress.Subject) *fate {
	f := t.fates[what.Digest]
	if f == nil {
		f = &fate{name: what.Name}
		t.fates[what.Digest] = f
		t.order = append(t.order, f)
	}
	return f
}

// Note implements progress.Log.
func (u *ui) Note(verb progress.Verb, what progress.Subject, size int64) {
	if what.Digest == "" {
		u.done(verb, what.Name, size)
		return
	}
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	f := u.tally.of(what)
	f.size = size
	f.built = f.built || verb == progress.Built
	if len(u.tally.output) > 0 {
		u.settle(f, verb)
	}
}

// ended records a task that is done.
func (u *ui) ended(verb progress.Verb, what progress.Subject, size int64) {
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	if u.tally.bytes == nil {
		u.tally.bytes = map[progress.Verb]int64{}
	}
	u.tally.bytes[verb] += size
	switch {
	case verb == progress.Building: // a note follows, with the digest
	case verb == progress.Pulling:
		u.line("%-11s %s", "pulled", what.Name)
	case what.Digest == "" && verb == progress.Downloading:
		u.done("downloaded", what.Name, size)
	case what.Digest == "" || verb == progress.Reading:
		if u.verbose {
			u.done("read", what.Name, size)
		}
	case verb == progress.Downloading:
		f := u.tally.of(what)
		f.downloaded, f.size = true, size
		if len(u.tally.output) > 0 && !f.inOutput {
			u.settle(f, "downloaded")
		}
	case verb == progress.Uploading:
		f := u.tally.of(what)
		f.size = size
		u.settle(f, "uploaded")
	case verb == progress.Writing:
		f := u.tally.of(what)
		f.size = size
		u.settle(f, f.made())
	}
}

// settle sets the outcome of a layer, unless it has one, and prints the lines
// that can be printed now. The caller holds the lock.
func (u *ui) settle(f *fate, outcome progress.Verb) {
	if f.outcome != "" {
		return
	}
	f.outcome = outcome
	if !f.inOutput {
		u.done(outcome, f.name, f.size)
	}
	t := &u.tally
	for ; t.printed < len(t.output) && t.output[t.printed].outcome != ""; t.printed++ {
		next := t.output[t.printed]
		u.done(next.outcome, next.name, next.size)
	}
}

func (u *ui) done(verb progress.Verb, name string, size int64) {
	u.line("%-11s %s (%s)", verb, name, bytes(size))
}

// made says that the images are made and will be written. The outcome of their
// layers is up to the sink; other layers were downloaded to make them.
func (u *ui) made(images []v1.Image) error {
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	for _, img := range images {
		m, err := img.Manifest()
		if err != nil {
			return err
		}
		for _, l := range m.Layers {
			f := u.tally.of(progress.Subject{Name: fmt.Sprintf("layer %.12s", l.Digest.Hex), Digest: l.Digest.String()})
			if f.size = l.Size; !f.inOutput {
				f.inOutput = true
				u.tally.output = append(u.tally.output, f)
			}
		}
	}
	for _, f := range u.tally.order {
		if !f.inOutput && f.downloaded {
			u.settle(f, "downloaded")
		}
	}
	return nil
}

// totals are what a run came to.
type totals struct {
	built, reused        int // layers of the images, each digest once
	downloaded, uploaded int64
	took                 time.Duration
}

// totals returns what the run came to so far.
func (u *ui) totals() totals {
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	t := totals{downloaded: u.tally.bytes[progress.Downloading], uploaded: u.tally.bytes[progress.Uploading], took: time.Since(u.begun)}
	for _, f := range u.tally.output {
		if f.built {
			t.built++
		} else {
			t.reused++
		}
	}
	return t
}

// sum prints what the run came to, after the output was written.
func (u *ui) sum() {
	t := u.totals()
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	for _, f := range u.tally.output {
		u.settle(f, f.made()) // where the sink had no reason to look at it
	}
	var parts []string
	for _, p := range []struct {
		word string
		n    int
	}{{"built", t.built}, {"reused", t.reused}} {
		if p.n > 0 {
			parts = append(parts, p.word+" "+count(p.n, "layer"))
		}
	}
	for _, p := range []struct {
		word string
		n    int64
	}{{"downloaded", t.downloaded}, {"uploaded", t.uploaded}} {
		if p.n > 0 {
			parts = append(parts, p.word+" "+bytes(p.n))
		}
	}
	came := ""
	if len(parts) > 0 {
		came = ": " + strings.Join(parts, ", ")
	}
	u.line("done in %s%s", seconds(t.took), came)
}

// seconds writes how long something took, for a person.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}

// Start implements progress.Log.
func (u *ui) Start(verb progress.Verb, what progress.Subject, total int64) progress.Task {
	t := &task{ui: u, verb: verb, what: what, total: total}
	u.pulse.begun(t)
	if u.bars != nil {
		t.bar = u.bar(verb, u.name(what), total)
	} else if u.verbose {
		u.line("%-11s %s", verb, u.name(what))
	}
	return t
}

// name returns the name that the line of a layer will have.
func (u *ui) name(what progress.Subject) string {
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	if f := u.tally.fates[what.Digest]; f != nil {
		return f.name
	}
	return what.Name
}

// task is a [progress.Task].
type task struct {
	ui    *ui
	verb  progress.Verb
	what  progress.Subject
	total int64 // -1 where it is not known
	done  atomic.Int64
	bar   *mpb.Bar
}

// Add implements progress.Task.
func (t *task) Add(n int64) {
	t.done.Add(n)
	if t.bar != nil {
		t.bar.IncrInt64(n)
	}
}

// Done implements progress.Task.
func (t *task) Done(err error) {
	t.ui.pulse.ended(t)
	if t.bar != nil {
		t.bar.Abort(true)
	}
	if err == nil {
		t.ui.ended(t.verb, t.what, t.done.Load())
	}
}
