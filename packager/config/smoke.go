package config

import (
	"io/fs"
	"regexp"
	"time"
)

// SmokeFile is the name of the file in an app's directory that says what is expected of it.
const SmokeFile = "smoke.toml"

// LaunchTimeout is how long a launched process may take unless launch.timeout says otherwise.
const LaunchTimeout = 30 * time.Second

// Smoke is the content of a smoke.toml: what is expected of a build of the app in its directory,
// and of the app image. Names are those of the CNB spec:
//
//	[build]
//	exit-code = 0                       # of the lifecycle, see below
//
//	[[build.env]]                       # set for the build
//	name = "BP_JVM_VERSION"
//	value = "21"
//
//	[[group]]                           # the whole group that is detected, in its order
//	id = "samples/java-maven"
//	version = "0.0.1"                   # may be left out
//
//	[[processes]]                       # a process of the image; it may have others
//	type = "web"
//	command = '^java$'                  # pattern: the command and its arguments, joined by spaces
//	args = 'app\.jar'                   # pattern: the arguments that a user may replace
//	default = true
//
//	[[files]]                           # a file of the image; links are followed
//	path = "/workspace/app.jar"
//	mode = "0644"
//	content = 'Main-Class'              # pattern
//
//	[[files]]
//	path = "/workspace/src"
//	absent = true
//
//	[[labels]]
//	key = "org.opencontainers.image.version"
//	value = '^\d+\.\d+$'                # pattern; without it, the label must only exist
//
//	[[logs]]
//	line = 'Reusing cached layer'       # pattern of a line that the lifecycle prints
//
//	[[logs]]
//	line = '(?i)deprecated'
//	absent = true                       # no line may match
//
//	[launch]                            # start a process of the image
//	type = "web"                        # without it, the default process
//	args = ["--check"]
//	exit-code = 0                       # the process must end with it
//	timeout = "10s"
//
//	[launch.http]                       # instead of exit-code: the process must answer, and is ended
//	port = 8080
//	path = "/healthz"
//	status = 200
//	body = 'ok'                         # pattern
//
//	[[launch.env]]                      # the environment of the process
//	name = "JAVA_HOME"
//	value = '^/layers/'                 # pattern
//
//	[[launch.logs]]                     # what the process prints
//	line = 'Started'
//
// A pattern is a regular expression (RE2) that matches anywhere; ^ and $ also match at lines. Use
// single quotes, in which TOML has no escapes.
//
// An exit-code of build other than 0 is for an app that the builder must refuse: 20 if no group is
// detected, 21 if a buildpack's bin/detect fails, 51 if a bin/build fails. There is no image then,
// so that only build.env and logs may be given.
//
// The embedded Doc has the positions: the file's tables and keys are its paths. The zero value
// expects that the build ends with 0.
type Smoke struct {
	Doc
	// BuildEnv is set for the build, in this order.
	BuildEnv []EnvVar
	// ExitCode is that of the lifecycle.
	ExitCode  int
	Group     []SmokeBuildpack
	Processes []SmokeProcess
	Files     []SmokeFileContent
	Labels    []SmokeValue
	Logs      []SmokeLine
	// Launch is nil if the file does not say what to launch; then the default process only has to start.
	Launch *SmokeLaunch
}

// EnvVar is an environment variable.
type EnvVar struct{ Name, Value string }

// SmokeBuildpack is an expected buildpack of the detected group.
type SmokeBuildpack struct {
	ID string
	// Version is "" if any will do.
	Version string
}

// SmokeProcess is an expected process of an app image.
type SmokeProcess struct {
	Type string
	// Command and Args are nil if any will do.
	Command, Args *regexp.Regexp
	// Default says that the image must start it by default.
	Default bool
}

// SmokeFileContent is an expected file of an app image.
type SmokeFileContent struct {
	// Path is absolute and clean.
	Path string
	// Mode has the permissions and the set-id and sticky bits as in a tar; it counts if HasMode.
	Mode    fs.FileMode
	HasMode bool
	// Content is nil if any will do.
	Content *regexp.Regexp
	// Absent says that there must be no such file.
	Absent bool
}

// SmokeValue is an expected label or environment variable.
type SmokeValue struct {
	Name string
	// Value is nil if any will do.
	Value *regexp.Regexp
	// Absent says that there must be none of the name, or none of the name and a value that matches.
	Absent bool
}

// SmokeLine is a line that a log must have or, if Absent, must not have.
type SmokeLine struct {
	Line   *regexp.Regexp
	Absent bool
}

// SmokeLaunch says which process to launch, and what is expected of it.
type SmokeLaunch struct {
	// Type is "" for the default process.
	Type string
	Args []string
	// ExitCode is how the process must end; it does not count if HTTP is set.
	ExitCode int
	// Timeout is how long it may take until it ends or answers.
	Timeout time.Duration
	// HTTP is nil if the process is expected to end by itself.
	HTTP *SmokeHTTP
	Env  []SmokeValue
	Logs []SmokeLine
}

// SmokeHTTP is a request to the loopback address of a launched process, and the expected answer.
type SmokeHTTP struct {
	Port   int
	Path   string // with a query, if any
	Status int
	// Body is nil if any will do.
	Body *regexp.Regexp
}

// ParseSmoke parses a smoke.toml. The Smoke is as complete as possible; it is valid if Problems.Err
// is nil.
func ParseSmoke(file string, data []byte) (Smoke, Problems) {
	doc, problems := Parse(file, data)
	s := Smoke{Doc: doc}
	if len(problems) > 0 {
		return s, problems
	}
	var f smokeFile
	problems = doc.Decode(&f, RefuseUnknown)
	r := smokeReader{Doc: doc}
	s.ExitCode, s.BuildEnv = f.Build.ExitCode, r.buildEnv(f)
	s.Group, s.Processes = r.group(f.Group), r.processes(f.Processes)
	s.Files = r.files(f.Files)
	s.Labels = r.values(f.Labels, "key", "labels")
	s.Logs = r.lines(f.Logs, "logs")
	if doc.Has("launch") {
		s.Launch = r.launch(f.Launch)
	}
	r.noImage(f.Build.ExitCode)
	return s, append(problems, r.problems...).InOrder()
}
