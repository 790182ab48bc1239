package smoke

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"laminate/builder/smoke/ownership"
)

// ReportSchema is the version of the JSON form of a Report. A change that removes a key or changes
// its meaning has a new one.
const ReportSchema = 1

// Report is what came of a smoke test of a builder. docs/smoke.schema.json describes its JSON form.
type Report struct {
	// Schema is [ReportSchema].
	Schema int `json:"schema"`
	// Builder is the location of the builder, as the caller has it, and Digest its digest.
	Builder string `json:"builder"`
	Digest  string `json:"digest,omitempty"`
	// Buildpacks are those that were added to the builder, or replaced its own (see
	// [Options.Buildpacks]), as the caller has them.
	Buildpacks []string `json:"buildpacks,omitempty"`
	// Started is when the first app was started.
	Started time.Time `json:"started"`
	// Seconds is how long the whole test took.
	Seconds float64 `json:"seconds"`
	// Apps are the results, in the order in which the apps were named.
	Apps []Result `json:"apps"`
}

// Result is what came of one app.
type Result struct {
	// App is the app's directory, as the caller has it.
	App     string  `json:"app"`
	Status  Status  `json:"status"`
	Seconds float64 `json:"seconds"`
	// Error is why the app could not be tested; "" unless Status is Broken.
	Error string `json:"error,omitempty"`
	// Phases are in the order in which they began.
	Phases []Phase `json:"phases"`
	// Failures are all expectations that are not met.
	Failures []Failure `json:"failures"`
	// Warnings are what is wrong with the buildpacks without being a failure, a line each.
	Warnings []string `json:"warnings,omitempty"`
	// LayerWrites are what buildpacks wrote into the layers of others, and Outlived the processes that
	// outlived the turns of their buildpacks. Warnings or failures have them as well.
	LayerWrites []ownership.Write `json:"layer_writes,omitempty"`
	Outlived    []Outlived        `json:"outlived,omitempty"`
	// LayerWritesError is why LayerWrites are not all; "" if they are, or were not looked for.
	LayerWritesError string `json:"layer_writes_error,omitempty"`
	// Image is the digest of the app image; "" if there is none.
	Image string `json:"image,omitempty"`
	// Twice is what came of the second build; nil if there was none.
	Twice *Twice `json:"twice,omitempty"`
	// Kept is the directory with everything that the build had; "" if it is not kept.
	Kept string `json:"kept,omitempty"`
	// Root is the builder's root file system in the cache, where Kept is set; "" if it is not in the cache.
	Root string `json:"root,omitempty"`
}

// Status says how a test ended.
type Status string

// All expectations are met (Passed), some are not (Failed), or the app could not be tested (Broken),
// such as when the sandbox could not be made.
const (
	Passed Status = "passed"
	Failed Status = "failed"
	Broken Status = "error"
)

// Phase is a part of a test, such as build or launch.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	// ExitCode is that of the phase's program; nil where the phase has none.
	ExitCode *int `json:"exit_code,omitempty"`
	// Log is an excerpt of what the phase printed (see [Excerpt]).
	Log string `json:"log,omitempty"`
	// LogFile is the path of the whole log; "" if it was not kept.
	LogFile string `json:"log_file,omitempty"`

	file string // the whole log, as long as the work directory exists
}

// Set sets the status from the error and the failures, and makes the lists not nil.
func (r *Result) Set(err error, failures []Failure) {
	r.Failures = append([]Failure{}, failures...)
	r.Phases = append([]Phase{}, r.Phases...)
	switch {
	case err != nil:
		r.Status, r.Error = Broken, err.Error()
	case len(failures) > 0:
		r.Status = Failed
	default:
		r.Status = Passed
	}
}

// Rounded returns the report with times in whole milliseconds.
func (r Report) Rounded() Report {
	round := func(seconds *float64) { *seconds = math.Round(*seconds*1000) / 1000 }
	round(&r.Seconds)
	r.Apps = slices.Clone(r.Apps)
	for i := range r.Apps {
		a := &r.Apps[i]
		round(&a.Seconds)
		a.Phases = slices.Clone(a.Phases)
		for p := range a.Phases {
			round(&a.Phases[p].Seconds)
		}
	}
	return r
}

// Passed reports whether all apps passed, and there are any.
func (r Report) Passed() bool {
	return len(r.Apps) > 0 && r.count(Passed) == len(r.Apps)
}

func (r Report) count(s Status) (n int) {
	for _, a := range r.Apps {
		if a.Status == s {
			n++
		}
	}
	return n
}

const (
	excerptStart = 16 << 10
	excerptEnd   = 48 << 10
)

// Excerpt returns a log without colours: all of it or, of a long one, the first 16 KiB and the last
// 48 KiB with a line between that says how much is left out. It takes no more memory than that.
func Excerpt(r io.Reader) (string, error) {
	var start, end []byte
	var left int64
	lines := bufio.NewReaderSize(r, lineLimit)
	for {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		line += "\n"
		if len(end) == 0 && left == 0 && len(start)+len(line) <= excerptStart {
			start = append(start, line...)
			continue
		}
		end = append(end, line...)
		if len(end) > 2*excerptEnd+lineLimit {
			left += int64(len(end) - excerptEnd)
			end = append([]byte{}, end[len(end)-excerptEnd:]...)
		}
	}
	if more := len(end) - excerptEnd; more > 0 {
		left += int64(more)
		end = end[more:]
	}
	if left == 0 {
		return string(start) + string(end), nil
	}
	return string(start) + fmt.Sprintf("... %d bytes left out ...\n", left) + string(end), nil
}
