// Package signing makes and checks signatures of images by key, in cosign's "simple signing" form: a
// small JSON document that names the digest, signed with ECDSA on P-256 and SHA-256. It also expands
// the command of another signing program. It opens no file and no network, and runs nothing.
//
// Signatures of a digest are the layers of an image under the tag of [Tag]: each is a document as
// [Payload] returns it, with media type [MediaType], and the signature in the annotation
// [Annotation]. `cosign verify --key` accepts them; with --insecure-ignore-tlog, since they are in no
// public log.
package signing

import v1 "github.com/google/go-containerregistry/pkg/v1"

const (
	// MediaType is that of a layer with a payload.
	MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	// Annotation is the annotation of such a layer with the signature, in base64.
	Annotation = "dev.cosignproject.cosign/signature"
)

// Tag returns the tag under which the signatures of a digest are stored.
func Tag(digest v1.Hash) string { return digest.Algorithm + "-" + digest.Hex + ".sig" }

// Signature is a payload with its signature in base64.
type Signature struct {
	Payload   []byte
	Signature string
}
