// Package faultaws applies the rules of a [fault.Injector] to the AWS SDK for
// Go v2: every client made from a configuration fails as the rules say.
//
//	inj := fault.New(fault.Options{})
//	cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(inj))
//	cfg.Credentials = faultaws.Credentials(inj, cfg.Credentials)
//	...
//	err := inj.Set(fault.Denied("dynamodb")) // revoke
//	inj.Clear()                              // restore
//
// The middleware sits below everything else, in the place of the network: each
// attempt is faulted, so the real retryer runs with its quota and back-off, the
// request is signed, and the SDK's own code makes the errors. They are the same
// as over a socket, type by type and letter by letter.
package faultaws
