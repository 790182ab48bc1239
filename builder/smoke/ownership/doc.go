// Package ownership finds buildpacks that write into the layers of others. By the buildpack spec a
// layer belongs to the buildpack that made it; nothing enforces that, and what another one changes is
// lost, or kept by mistake, when a layer is reused or rebased.
//
// The caller says when each buildpack's turn begins, while the buildpack waits; [Turns] looks at the
// layers' directory between turns, from outside, and follows no link in it:
//
//	turns, err := ownership.New(dir, ids)
//	turns.Begin("acme/jre")  // what is there was restored from the cache
//	turns.Begin("acme/maven") // what acme/jre changed is known now
//	writes, err := turns.End()
//
// Not found is what leaves no trace: a file that is changed and changed back before its content was
// read, or that is made and removed in a directory whose time is put back. A process that outlives its
// turn writes in the name of the buildpacks that follow.
package ownership
