package registry

// DocumentLimit is the size in bytes up to which a manifest, an index or an
// image config is read, wherever it comes from: they are held in memory, and
// take several times their size there. The distribution spec asks registries
// to accept manifests of 4 MiB.
const DocumentLimit = 16 << 20
