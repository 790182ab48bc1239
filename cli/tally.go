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

// A tally records what happens to each layer until its outcome is known, so that each layer gets
// one line instead of one per step. A layer that is built and then pushed is "uploaded"; one that
// is copied from a registry to a file is "downloaded". The lines come in the order of the layers in
// the output. Anything that is not a layer gets its line when it is done.
type tally struct {
	mu      sync.Mutex
	fates   map[string]*fate // by digest
	order   []*fate          // in order of appearance
	output  []*fate          // the layers of the images, once the images are made
	printed int              // how many of the layers in output have been printed
	bytes   map[progress.Verb]int64
}

// A fate is the outcome of a layer.
type fate struct {
	name              string
	size              int64
	built, downloaded bool
	inOutput          bool
	outcome           progress.Verb // "" until it is known
}

// made returns the outcome of a layer that the sink only copies.
func (f *fate) made() progress.Verb {
	switch {
	case f.built:
		return progress.Built
	case f.downloaded:
		return "downloaded"
	}
	return progress.Reused
}

// of returns the fate of a layer. The caller must hold the lock.
func (t *tally) of(what progress.Subject) *fate {
	f := t.fates[what.Digest]
	if f == nil {
		f = &fate{name: what.Name}
		t.fates[what.Digest] = f
		t.order = append(t.order, f)
	} else if f.name == layerName(what.Digest) {
		f.name = what.Name // the upload may be faster than the word of what it holds
	}
	return f
}

// layerName is the name of a layer of which only the digest is known.
func layerName(digest string) string {
	return fmt.Sprintf("layer %.12s", strings.TrimPrefix(digest, "sha256:"))
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

// ended records a completed task.
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

// settle sets the outcome of a layer, unless it has one, and prints the lines that can be printed
// now. The caller must hold the lock.
func (u *ui) settle(f *fate, outcome progress.Verb) {
	if f.outcome != "" {
		return
	}
	f.outcome = outcome
	if len(u.tally.output) == 0 {
		return // it was uploaded before the images are made
	}
	if !f.inOutput {
		u.done(outcome, f.name, f.size)
	}
	u.flush()
}

// flush prints the lines of layers of the output that can be printed now. The caller must hold the
// lock.
func (u *ui) flush() {
	t := &u.tally
	for ; t.printed < len(t.output) && t.output[t.printed].outcome != ""; t.printed++ {
		next := t.output[t.printed]
		u.done(next.outcome, next.name, next.size)
	}
}

func (u *ui) done(verb progress.Verb, name string, size int64) {
	u.line("%-11s %s (%s)", verb, name, bytes(size))
}

// made records that the images are made and will be written. The sink determines the outcome of
// their layers; other layers were downloaded to make them.
func (u *ui) made(images []v1.Image) error {
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	for _, img := range images {
		m, err := img.Manifest()
		if err != nil {
			return err
		}
		for _, l := range m.Layers {
			f := u.tally.of(progress.Subject{Name: layerName(l.Digest.String()), Digest: l.Digest.String()})
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
	u.flush()
	return nil
}

// totals are the totals of a run.
type totals struct {
	built, reused        int // layers of the images, each digest once
	downloaded, uploaded int64
	took                 time.Duration
}

// totals returns the totals so far.
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

// sum prints the totals of the run, after the output was written.
func (u *ui) sum() {
	t := u.totals()
	u.tally.mu.Lock()
	defer u.tally.mu.Unlock()
	for _, f := range u.tally.output {
		u.settle(f, f.made()) // the sink did not need to handle it
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

// seconds formats a duration.
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

// name returns the name for the line of a layer.
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
	total int64 // -1 if unknown
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
