// Package stream has the readers that everything laminate reads goes through:
// they count, keep to limits, end with their context, and verify digests.
package stream
