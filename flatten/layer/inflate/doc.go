// Package inflate reads gzip streams (RFC 1951 and 1952), and cuts them off at
// any byte of their content without compressing again what lies before.
//
// A DEFLATE stream is a sequence of blocks that end at any bit, and depend only on what precedes
// them. So all blocks before a cut can be copied; only the content between the last of them and the
// cut is compressed again. The package has its own inflater: the standard library's does not expose
// where blocks end, that of klauspost/compress (1.20.3) miscounts after stored blocks, and most of
// the time is spent on inflating.
package inflate
