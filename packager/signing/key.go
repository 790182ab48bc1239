package signing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// Key is a private key.
type Key struct{ key *ecdsa.PrivateKey }

// PublicKey is a public key.
type PublicKey struct{ key *ecdsa.PublicKey }

// ErrPassword means that a private key needs another password.
var ErrPassword = errors.New("wrong password")

// ParseKey parses a private key in PEM: one of cosign, encrypted with a password, or one that is not
// encrypted. The key must be an ECDSA key on P-256, as cosign generates.
func ParseKey(file, password []byte) (*Key, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("invalid private key: no PEM")
	}
	der := block.Bytes
	switch block.Type {
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		var err error
		if der, err = encrypted.Decrypt(der, password); err != nil {
			return nil, fmt.Errorf("private key: %w", ErrPassword)
		}
	case "PRIVATE KEY":
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("invalid private key: %w", err)
		}
		return checked(key)
	default:
		return nil, fmt.Errorf("unsupported private key: PEM of type %q; generate one with `cosign generate-key-pair`", block.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("invalid private key: %w", err)
	}
	return checked(key)
}

func checked(key any) (*Key, error) {
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("unsupported private key; it must be an ECDSA key on P-256, as `cosign generate-key-pair` makes")
	}
	return &Key{ec}, nil
}

// ParsePublicKey parses a public key in PEM, an ECDSA key on P-256.
func ParsePublicKey(file []byte) (*PublicKey, error) {
	block, _ := pem.Decode(file)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("invalid public key: no PEM of type PUBLIC KEY, such as cosign.pub")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("invalid public key: %w", err)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("unsupported public key; it must be an ECDSA key on P-256, as `cosign generate-key-pair` makes")
	}
	return &PublicKey{ec}, nil
}

// Public returns the public key.
func (k *Key) Public() *PublicKey { return &PublicKey{&k.key.PublicKey} }

// Sign signs a payload. Each call returns another signature: ECDSA is random.
func (k *Key) Sign(payload []byte) (Signature, error) {
	sum := sha256.Sum256(payload)
	raw, err := ecdsa.SignASN1(rand.Reader, k.key, sum[:])
	return Signature{payload, base64.StdEncoding.EncodeToString(raw)}, err
}

func (k *PublicKey) verify(payload []byte, signature string) error {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return fmt.Errorf("invalid signature: %w", err)
	}
	sum := sha256.Sum256(payload)
	if !ecdsa.VerifyASN1(k.key, sum[:], raw) {
		return errors.New("it is not signed by this key")
	}
	return nil
}
