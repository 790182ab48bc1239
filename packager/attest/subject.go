package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/registry"
)

// ErrNoSubject means that a document does not say which image it is about.
var ErrNoSubject = errors.New("it does not say which image it is about")

// Known reports whether [Subjects] can read documents of a media type, or of that artifact type.
func Known(mediaType string) bool {
	return slices.Contains([]string{CycloneDX, InToto, Envelope}, mediaType)
}

// Subjects returns the digests of the images that a document says it is about. The document may come
// from anywhere, and be made by any tool; the work is bounded by its size. The error is
// [ErrNoSubject], or says what is invalid.
func Subjects(mediaType string, document []byte) ([]v1.Hash, error) {
	var all []v1.Hash
	var err error
	switch mediaType {
	case CycloneDX:
		all, err = ofSBOM(document)
	case InToto:
		all, err = ofStatement(document)
	case Envelope:
		all, err = ofEnvelope(document)
	default:
		return nil, fmt.Errorf("unknown type %q", mediaType)
	}
	if err == nil && len(all) == 0 {
		err = ErrNoSubject
	}
	return all, err
}

// ofStatement reads an in-toto statement, of version 1 or 0.1.
func ofStatement(document []byte) ([]v1.Hash, error) {
	var d struct {
		Type    string          `json:"_type"`
		Subject json.RawMessage `json:"subject"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("invalid in-toto statement: %w", err)
	}
	if !strings.HasPrefix(d.Type, "https://in-toto.io/Statement/") {
		return nil, fmt.Errorf("invalid in-toto statement: its type is %q", registry.Shorten(d.Type))
	}
	var subjects []struct {
		Digest map[string]string `json:"digest"`
	}
	if err := bounded(d.Subject, &subjects); err != nil {
		return nil, fmt.Errorf("invalid in-toto statement: subject: %w", err)
	}
	var all []v1.Hash
	for _, s := range subjects {
		if h, err := v1.NewHash("sha256:" + s.Digest["sha256"]); err == nil {
			all = append(all, h)
		}
	}
	return all, nil
}

// ofEnvelope reads the statement in an envelope. It does not check the signatures.
func ofEnvelope(document []byte) ([]v1.Hash, error) {
	var d struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("invalid DSSE envelope: %w", err)
	}
	if d.PayloadType != InToto {
		return nil, fmt.Errorf("invalid DSSE envelope: its payload is of type %q, expected %q", registry.Shorten(d.PayloadType), InToto)
	}
	return ofStatement(d.Payload)
}

// ofSBOM reads the component that a CycloneDX document is about: its hashes; or a digest as version,
// as syft writes it, or in the package URL, as trivy does.
func ofSBOM(document []byte) ([]v1.Hash, error) {
	var d struct {
		Format   string          `json:"bomFormat"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("invalid CycloneDX document: %w", err)
	}
	if d.Format != "CycloneDX" {
		return nil, fmt.Errorf("invalid CycloneDX document: its format is %q", registry.Shorten(d.Format))
	}
	var metadata struct {
		Component struct {
			Version string `json:"version"`
			PURL    string `json:"purl"`
			Hashes  []struct {
				Algorithm string `json:"alg"`
				Content   string `json:"content"`
			} `json:"hashes"`
		} `json:"component"`
	}
	if err := bounded(d.Metadata, &metadata); err != nil {
		return nil, fmt.Errorf("invalid CycloneDX document: metadata: %w", err)
	}
	c := metadata.Component
	var said []string
	for _, h := range c.Hashes {
		if h.Algorithm == "SHA-256" {
			said = append(said, "sha256:"+h.Content)
		}
	}
	said = append(said, c.Version)
	if purl, ok := strings.CutPrefix(c.PURL, "pkg:oci/"); ok {
		_, version, _ := strings.Cut(purl, "@")
		version, _, _ = strings.Cut(version, "?")
		said = append(said, strings.Replace(version, "%3A", ":", 1))
	}
	var all []v1.Hash
	for _, s := range said {
		if h, err := v1.NewHash(strings.ToLower(s)); err == nil {
			all = append(all, h)
		}
	}
	return all, nil
}

// bounded decodes a part of a document that is within the limits of documents.
func bounded(part json.RawMessage, into any) error {
	if len(part) == 0 {
		return nil
	}
	if err := registry.CheckDocument(part); err != nil {
		return err
	}
	return json.Unmarshal(part, into)
}
