// Package progress is how the packager, its sources and its sinks report progress. They never
// print; the implementation of [Log] decides what the user sees.
package progress

// A Log receives warnings, and the progress of tasks that take time. It must be safe for concurrent
// use.
type Log interface {
	// Warn reports a problem that does not end the run, in one sentence.
	Warn(message string)
	// Start begins a task of total bytes; -1 if that is unknown.
	Start(verb Verb, what Subject, total int64) Task
	// Note records the result for a layer or a file, such as built or reused.
	Note(verb Verb, what Subject, size int64)
}

// A Subject is the layer, file or source of a task or a note.
type Subject struct {
	// Name is the name for people.
	Name string
	// Digest is the digest of the blob, as sha256:..., if it is a layer of a known digest. Equal
	// digests mean the same layer, even under different names.
	Digest string
}

// A Task is a task in progress.
type Task interface {
	// Add adds processed bytes.
	Add(n int64)
	// Done ends the task with its error, if any. It must be called exactly once.
	Done(err error)
}

// Verb is what a task does, for people.
type Verb string

// The verbs of tasks and of results.
const (
	Reading     Verb = "reading"
	Downloading Verb = "downloading"
	Pulling     Verb = "pulling"  // by a Docker daemon; the number of bytes is unknown
	Building    Verb = "building" // tar, hash and compress in one pass
	Uploading   Verb = "uploading"
	Writing     Verb = "writing"
	Built       Verb = "built"
	Reused      Verb = "reused"
)

// Discard is a Log that ignores everything.
var Discard Log = discard{}

type discard struct{}

func (discard) Warn(string)                     {}
func (discard) Start(Verb, Subject, int64) Task { return discard{} }
func (discard) Note(Verb, Subject, int64)       {}
func (discard) Add(int64)                       {}
func (discard) Done(error)                      {}
