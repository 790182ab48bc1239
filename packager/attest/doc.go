// Package attest makes the documents that are attached to images, and reads which image such a
// document is about: SBOMs as CycloneDX, and SLSA provenance as in-toto statements. It reads what it
// is given, and neither signs nor attaches anything.
//
// The documents are deterministic: they have no timestamps and no random identifiers, and nothing in
// them depends on the machine. So a run that is repeated attaches nothing new.
package attest

// The media types of documents. Each is also the artifact type under which it is attached.
const (
	CycloneDX = "application/vnd.cyclonedx+json"
	InToto    = "application/vnd.in-toto+json"
	// Envelope is an in-toto statement with signatures around it (DSSE).
	Envelope = "application/vnd.dsse.envelope.v1+json"
)
