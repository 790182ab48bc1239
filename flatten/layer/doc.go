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
// For a directory, the result has the same diffID as with pack.
//
// Content that comes from a layer keeps its entries byte by byte, except that relative names are
// made absolute, and duplicate entries of a directory are dropped.
//
// A layer has no duplicate paths, including directories: Docker and podman keep the headers of
// every layer (tar-split), and refuse to load one with a duplicate path. So pieces that share an id
// directory (versions of one id, or of ids such as acme/x and acme_x) are next to each other, and
// only the first of them has the entry of that directory. The others are stored without it, and get
// it back when the layer is split, as platforms do. The length and the content identity of a piece
// always include the entry. If the entries differ (in mode or time, as in layers of other tools),
// all pieces get the first.
//
// Compressed, a layer is a sequence of gzip members or zstd frames, none of which crosses the
// border of a piece, and one more for the archive's end. Laminate compresses members of a fixed
// size, so that it can use all cores and the bytes do not depend on their number. A piece that was
// compressed before, by any tool, is spliced: its members are copied, as far as possible (see
// [Splice] and package inflate). A piece that is stored without the entry of its id directory is
// neither spliced nor a source of splices.
package layer
