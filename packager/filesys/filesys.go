// Package filesys wraps what differs between operating systems: flags for opening files, locks,
// owners, and hard links.
package filesys

// Owner is the owner of a file.
type Owner struct{ UID, GID int }
