// Package stream has the readers for all input: they count bytes, enforce limits, end with their
// context, and verify digests.
package stream
