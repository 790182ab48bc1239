// Package progress is how the packager, its sources and its sinks tell what
// they do while they do it. They never print; what a person sees is decided by
// whoever implements [Log].
package progress

// A Log is told of warnings and of the tasks that take time.
// It is safe for concurrent use.
type Log interface {
	// Warn takes one sentence that a person should read although the run goes on.
	Warn(message string)
	// Start begins a task. Total is the number of bytes ahead, or -1 where it is
	// not known.
	Start(verb Verb, what Subject, total int64) Task
	// Note records what became of a layer or a file: it was built, or reused.
	Note(verb Verb, what Subject, size int64)
}

// A Subject is what a task or a note is about.
type Subject struct {
	// Name is how a person calls it.
	Name string
	// Digest is that of the blob, as sha256:..., where it is a layer of a known
	// digest. Equal digests mean one layer, whatever name it has in each place.
	Digest string
}

// A Task is something under way.
type Task interface {
	// Add counts bytes that were dealt with.
	Add(n int64)
	// Done ends the task; it must be called once, whatever the outcome.
	Done(err error)
}

// Verb says what is being done, as a person reads it.
type Verb string

// What is done to layers and sources, and what became of them.
const (
	Reading     Verb = "reading"
	Downloading Verb = "downloading"
	Pulling     Verb = "pulling"  // done by a Docker daemon; how many bytes it pulls is not known
	Building    Verb = "building" // tar, hash and compress in one pass
	Uploading   Verb = "uploading"
	Writing     Verb = "writing"
	Built       Verb = "built"
	Reused      Verb = "reused"
)

// Discard is a Log that ignores everything it is told.
var Discard Log = discard{}

type discard struct{}

func (discard) Warn(string)                     {}
func (discard) Start(Verb, Subject, int64) Task { return discard{} }
func (discard) Note(Verb, Subject, int64)       {}
func (discard) Add(int64)                       {}
func (discard) Done(error)                      {}
