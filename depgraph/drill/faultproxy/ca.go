package faultproxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// authority signs certificates for the names that the proxy opens. Its key is
// never written anywhere, and its certificate says itself what it may vouch for
// (RFC 5280, 4.2.1.10): a client that trusts it trusts it for no other name,
// and for no address. Leaves are made when they are first asked for, and share
// one key, since making keys is what costs time.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pem   []byte
	names []string // that it may sign for, and those below them

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
	leaf   *ecdsa.PrivateKey // shared by all leaves
}

// maxLeaves bounds the certificates that are kept.
const maxLeaves = 1024

// everyAddress keeps the authority from vouching for an address.
func everyAddress() []*net.IPNet {
	return []*net.IPNet{{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}
}

// newAuthority makes one for these names, with all below them, that ends after
// life. The constraint is critical: a client that does not know it must refuse.
func newAuthority(names []string, life time.Duration) (*authority, error) {
	a := &authority{names: names, leaves: map[string]*tls.Certificate{}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if a.leaf, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "drill CA of one process, until " + now.Add(life).UTC().Format(time.RFC3339)},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(life), // an hour for a clock that is behind
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: names, ExcludedIPRanges: everyAddress(),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a, nil
}

// serialNumber is random, as RFC 5280 wants them unique, of at most 127 bits,
// so that it is positive in the 20 octets there are.
func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// covers reports whether the authority may sign for a name.
// It is what the certificate's constraint says, too: a name, and all below it.
func (a *authority) covers(name string) bool {
	for _, n := range a.names {
		if name == n || strings.HasSuffix(name, "."+n) {
			return true
		}
	}
	return false
}

// certificate makes one for a name that the authority covers.
// Making one costs a signature, under the lock; a name that was asked for is kept,
// and of more than maxLeaves all are forgotten at once, which costs time only. An
// error is a name that is not covered: the caller has asked already, this is the
// second lock on the same door.
func (a *authority) certificate(name string) (*tls.Certificate, error) {
	if !a.covers(name) {
		return nil, fmt.Errorf("the drill's authority does not vouch for %q", name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, ok := a.leaves[name]; ok {
		return c, nil
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: []string{name}, // no subject: a long name would not fit
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: a.leaf}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	a.leaves[name] = c
	return c, nil
}

// systemRoots are where the trusted authorities of this machine may be.
// They are those of Debian, Fedora, openSUSE, RHEL and Alpine or macOS, in the order
// of crypto/x509.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// bundle is the authority after those that this machine trusts already: the
// variables of most programs replace the list, and names that are not opened
// must go on being trusted.
// SSL_CERT_FILE comes first, as in crypto/x509. Where no list is found it is the
// authority alone, and programs then trust only names that are opened.
func (a *authority) bundle() []byte {
	for _, name := range append([]string{os.Getenv("SSL_CERT_FILE")}, systemRoots...) {
		if name == "" {
			continue
		}
		if roots, err := os.ReadFile(name); err == nil && len(roots) > 0 {
			return append(append(roots, '\n'), a.pem...)
		}
	}
	return a.pem
}
