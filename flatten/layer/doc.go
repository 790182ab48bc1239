// Package layer turns the content of buildpacks into image layers and back.
//
// A piece is one module's content as tar entries without an archive trailer;
// a layer is its pieces, one after the other, and 1,024 zeros. Content that
// comes from directories and archives is written in normal form:
//
//   - Entries, in this order: the directory of the id, the directory of the
//     version, then everything below, walked directory by directory, names
//     compared within their directory (bin/build before bin-x). Names are
//     absolute, directories have no trailing slash, and there is no entry for
//     /cnb or /cnb/buildpacks.
//   - Owner 0:0 without names; time 1980-01-01T00:00:01Z; directories and
//     symbolic links 0755; files 0755 if any execute bit is set or the file is
//     bin/build, bin/detect or bin/generate at the root, else 0644.
//   - Hard links: the first in walk order is the file, later ones are link
//     entries with the absolute name. Empty directories and dot files are kept.
//   - USTAR headers where they fit, PAX where a path needs it.
//   - Set-id bits and extended attributes are dropped, sockets are skipped,
//     devices and fifos are errors.
//
// For a directory this gives the diffID that pack gives.
//
// Content that comes from a layer keeps its entries as they are, byte by byte;
// only names that are not absolute are made so, and what is the second entry of
// a directory is left out.
//
// No path stands twice in a layer, directories included: Docker and podman keep
// the headers of every layer (tar-split), and load none that has a path twice.
// So pieces that share an id directory, versions of one id or of ids such as
// acme/x and acme_x, stand next to each other, and only the first of them has
// the entry of that directory. The others are stored without it, and get it back
// when the layer is split: platforms do the same. A piece as such is always
// whole: its length and its content identity count the entry. Where a piece had
// another entry there than the first (another mode or time, which a foreign
// layer may have), that of the first is what all share.
//
// Compressed, a layer is a sequence of gzip members or zstd frames, none of
// which crosses the border of a piece, and one more for the archive's end. What
// is compressed here is cut into members of a fixed size, so that all cores
// compress and the bytes do not depend on how many there are. A piece that was
// compressed before, by whomever, is spliced: its members are copied, or what
// can be kept of them (see [Splice] and package inflate). A piece that is stored
// without the entry of its id directory is neither spliced nor spliced from.
package layer
