// Package simulate replays a builder's history under layer plans, and counts the bytes that users
// pull who follow its releases. The plan of a release depends only on that release and earlier
// ones.
package simulate
