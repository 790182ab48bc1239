// Package filesys is what operating systems do in different ways: flags of
// opened files, locks, owners, and names of one file.
package filesys

// Owner is who a file belongs to.
type Owner struct{ UID, GID int }
