// Package smoke tests a builder: it says what came of a build with it, and what of that is not as
// expected. What is expected is in a smoke.toml beside the app (see [config.Smoke]).
//
// A [Session] has a builder and a run image. It builds apps with the lifecycle in the builder, in a
// sandbox, without a container engine and without a registry. The app image is the one that a platform
// gets from the same builder and app. [Session.Test] checks it.
//
//	s, err := smoke.Open(ctx, smoke.Options{Builder: builder, Opener: opener, WorkDir: dir})
//	result, built := s.Test(ctx, smoke.App{Dir: "samples/java"})
//
//	o := smoke.Outcome{ExitCode: code, Log: log, App: app, Launch: launched}
//	failures := smoke.Check(ctx, expected, o)
//
// A [Report] holds the results of several apps; [Report.WriteJUnit] and encoding/json write it.
package smoke
