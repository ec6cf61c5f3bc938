// Package cloudwatch delivers a [logsink.Sink] to Amazon CloudWatch Logs.
//
//	dest, err := cloudwatch.New(cloudwatch.Options{
//		Client: cloudwatch.NewClient(cfg),
//		Group:  "/my/service",
//		Stream: hostname,
//	})
//	sink, err := logsink.New(logsink.Options{Batch: dest})
//
// The service never waits for CloudWatch and never fails because of it: [New]
// makes no call, log group and stream are made when the first records are
// there, and everything that can end (throttling, an outage, a lost route, a
// revoked permission, expired credentials) is retried without limit, with
// pauses from 200 ms to a minute, while the sink's memory (and its spill
// directory) takes what comes. What can not end is counted as rejected: events
// that are too old, too new or too long, and a record that makes a request
// invalid, which is found by halving the batch.
//
// Delivery is at-least-once: a request that timed out may have arrived.
package cloudwatch
