package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// The checks in this file ask AWS, or an emulator by AWS_ENDPOINT_URL_*. Each
// calls one operation that only reads, and judges the answer; a denial is a
// warning with the action to allow, for the one who writes the operator's policy.

// errorCode is the code of an AWS error, or "".
// It looks through whatever the SDK has wrapped around it.
func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isDenied takes both codes: DynamoDB's and IAM's.
func isDenied(err error) bool {
	return errorCode(err) == "AccessDeniedException" || errorCode(err) == "AccessDenied"
}

// checkTable looks at the table, as far as the caller may. What is not allowed
// is a warning with the action to allow, and the next check is made all the
// same; without credentials or without the table there are none.
// Each check has checkTimeout of its own, so that one that hangs takes no time from
// the others.
func (f *doctorFlags) checkTable(ctx context.Context) {
	db, err := client("", f.table)
	if err != nil {
		f.add("credentials", statusFail, `set them: eval "$(aws configure export-credentials --format env)"`, "%v", err)
		return
	}
	f.checkIdentity(ctx)
	f.checkRegion()
	name := f.table[strings.LastIndexByte(f.table, '/')+1:]
	described := f.describe(ctx, db, name)
	if described == nil {
		return
	}
	for _, check := range []func(context.Context){
		func(ctx context.Context) { f.checkTTL(ctx, db, name) },
		func(ctx context.Context) { f.checkPolicy(ctx, db) },
		func(ctx context.Context) { f.checkTags(ctx, db) },
		func(ctx context.Context) { f.checkRead(ctx, db, described) },
		f.checkRole,
	} {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		check(ctx)
		cancel()
	}
}

// checkIdentity says whose credentials these are, and whether of the table's
// account.
// STS that cannot be asked is a warning: emulators often have none.
func (f *doctorFlags) checkIdentity(ctx context.Context) {
	account, arn, err := caller(ctx, f.table)
	switch of := strings.Split(f.table, ":")[4]; {
	case err != nil:
		f.add("identity", statusWarn, "is STS reachable from here, and are the credentials valid?", "%v", err)
	case account != of:
		f.add("identity", statusFail, "use credentials of the table's account", "%s is of the account %s, the table of %s", arn, account, of)
	default:
		f.add("identity", statusOK, "", "%s", arn)
	}
}

// checkRegion compares the region of the environment with the table's: a call
// to another one takes tens of milliseconds, in which nothing looks wrong.
//
// AWS_REGION comes first, as in the SDKs of AWS.
func (f *doctorFlags) checkRegion() {
	own := os.Getenv("AWS_REGION")
	if own == "" {
		own = os.Getenv("AWS_DEFAULT_REGION")
	}
	switch table := region(f.table); {
	case own == "":
		f.add("region", statusWarn, "set AWS_REGION to the region that the service is in", "AWS_REGION is not set; the table is in %s", table)
	case own != table:
		f.add("region", statusWarn, "keep a cache's table beside the service", "AWS_REGION is %s, and the table is in %s: each call crosses regions", own, table)
	default:
		f.add("region", statusOK, "", "%s", table)
	}
}

// describe looks at the table itself, and at the clock. It is nil if there is
// nothing more to look at. An outage ends with every instance filling its cache
// at once, hence the warning about provisioned capacity.
func (f *doctorFlags) describe(ctx context.Context, db *dynamodb.Client, name string) *types.TableDescription {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out, err := db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	switch {
	case errorCode(err) == "ResourceNotFoundException":
		f.add("table", statusFail, "create it, or correct the name, the account or the region", "there is no table %s in %s", name, region(f.table))
		return nil
	case err != nil:
		f.add("table", statusFail, "allow dynamodb:DescribeTable, or see whether the endpoint can be reached", "%v", err)
		return nil
	case out.Table == nil:
		f.add("table", statusFail, "", "DynamoDB has answered without a table")
		return nil
	}
	f.checkClock(out.ResultMetadata)
	t := out.Table
	switch {
	case t.TableStatus != types.TableStatusActive:
		f.add("table", statusFail, "wait until it is ACTIVE", "it is %s", t.TableStatus)
	case aws.ToString(t.GlobalTableVersion) == "2017.11.29":
		f.add("table", statusFail, "upgrade it to version 2019.11.21 before it is drilled", "it is a global table of version 2017.11.29")
	case t.BillingModeSummary == nil || t.BillingModeSummary.BillingMode == types.BillingModeProvisioned:
		f.add("table", statusWarn, "billing on demand, or enough units and auto scaling: after an outage every instance fills its cache again", "it has provisioned capacity")
	default:
		f.add("table", statusOK, "", "it is active, and billed on demand")
	}
	return t
}

// Skews of the clock: DynamoDB refuses signatures that are older than five
// minutes, and a cache's records expire by the clock.
const (
	skewWarn = 5 * time.Second
	skewFail = 5 * time.Minute
)

// checkClock compares the machine's clock with the Date of DynamoDB's answer,
// which has whole seconds.
// The time that the answer took is in the skew, so less than skewWarn is none.
func (f *doctorFlags) checkClock(m middleware.Metadata) {
	server, ok := awsmiddleware.GetServerTime(m)
	at, ok2 := awsmiddleware.GetResponseAt(m)
	if !ok || !ok2 {
		f.add("clock", statusWarn, "", "the endpoint does not say what time it is")
		return
	}
	f.addSkew(at.Sub(server))
}

// addSkew judges how far this machine's clock is ahead of AWS's; below 0 it is
// behind. The Date of an answer has whole seconds, and so has what is said.
func (f *doctorFlags) addSkew(skew time.Duration) {
	skew, side := skew.Truncate(time.Second), "ahead of"
	if skew < 0 {
		skew, side = -skew, "behind"
	}
	switch {
	case skew >= skewFail:
		f.add("clock", statusFail, "start NTP: signatures are refused", "this machine is %v %s AWS", skew, side)
	case skew >= skewWarn:
		f.add("clock", statusWarn, "start NTP: records expire by the clock", "this machine is %v %s AWS", skew, side)
	default:
		f.add("clock", statusOK, "", "within %v of AWS's", skewWarn)
	}
}

// checkTTL says whether DynamoDB removes items by the attribute that the
// service writes.
// DescribeTimeToLive is what a drill's sentinel denies, hence the advice for a denial.
func (f *doctorFlags) checkTTL(ctx context.Context, db *dynamodb.Client, name string) {
	out, err := db.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	attribute, enabled := "", false
	if err == nil && out.TimeToLiveDescription != nil {
		attribute = aws.ToString(out.TimeToLiveDescription.AttributeName)
		enabled = out.TimeToLiveDescription.TimeToLiveStatus == types.TimeToLiveStatusEnabled
	}
	switch {
	case isDenied(err):
		f.add("time to live", statusWarn, "allow dynamodb:DescribeTimeToLive, unless a drill denies it now", "%v", err)
	case err != nil:
		f.add("time to live", statusFail, "", "%v", err)
	case !enabled:
		f.add("time to live", statusWarn, "enable it on the attribute that the service writes, or the table grows for ever", "it is not enabled")
	case f.ttl != "" && attribute != f.ttl:
		f.add("time to live", statusFail, "enable it on the attribute that the service writes", "it is on %q, and the service writes %q", attribute, f.ttl)
	default:
		f.add("time to live", statusOK, "", "on %q", attribute)
	}
}

// checkPolicy looks for what a drill has left in the table's policy.
// It looks for the beginning of the drill's Sids anywhere in the text.
//
// A policy that names the drill and denies nothing any more is still worth a
// warning: it is up to 20 KiB that a policy may have, and nobody knows whose it
// is.
func (f *doctorFlags) checkPolicy(ctx context.Context, db *dynamodb.Client) {
	out, err := db.GetResourcePolicy(ctx, &dynamodb.GetResourcePolicyInput{ResourceArn: &f.table})
	switch {
	case errorCode(err) == "PolicyNotFoundException":
		f.add("policy", statusOK, "", "the table has no resource policy")
	case err != nil:
		f.add("policy", statusWarn, "allow dynamodb:GetResourcePolicy", "%v", err)
	case strings.Contains(aws.ToString(out.Policy), "FailOpenDrill"):
		f.add("policy", statusWarn, "if no drill is going on: drill sweep --table "+f.table, "a drill has left its statements in the table's policy")
	default:
		f.add("policy", statusOK, "", "no drill has left anything in the table's policy")
	}
}

// checkTags looks for the tag without which drill revoke refuses the table, in
// all pages of tags.
func (f *doctorFlags) checkTags(ctx context.Context, db *dynamodb.Client) {
	var token *string
	for {
		out, err := db.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: &f.table, NextToken: token})
		if err != nil {
			f.add("drill tag", statusWarn, "allow dynamodb:ListTagsOfResource", "%v", err)
			return
		}
		for _, tag := range out.Tags {
			if aws.ToString(tag.Key) == revoke.Tag && aws.ToString(tag.Value) == revoke.TagValue {
				f.add("drill tag", statusOK, "", "the table may be drilled")
				return
			}
		}
		if token = out.NextToken; token == nil {
			f.add("drill tag", statusWarn, "tag it "+revoke.Tag+"="+revoke.TagValue+" if it may be drilled; drill revoke refuses it without", "the table is not tagged")
			return
		}
	}
}

// checkRead reads a record that is not there, a few times, and keeps the best:
// the first pays for the connection. Any answer is a good one.
// 50 ms is several times what a read within a region takes.
func (f *doctorFlags) checkRead(ctx context.Context, db *dynamodb.Client, t *types.TableDescription) {
	// Whatever the key is made of: a value that no service uses.
	key := map[string]types.AttributeValue{}
	for _, a := range t.AttributeDefinitions {
		for _, k := range t.KeySchema {
			if aws.ToString(k.AttributeName) != aws.ToString(a.AttributeName) {
				continue
			}
			switch a.AttributeType {
			case types.ScalarAttributeTypeN:
				key[*a.AttributeName] = &types.AttributeValueMemberN{Value: "-1"}
			case types.ScalarAttributeTypeB:
				key[*a.AttributeName] = &types.AttributeValueMemberB{Value: []byte("failopen-drill-doctor")}
			default:
				key[*a.AttributeName] = &types.AttributeValueMemberS{Value: "failopen-drill-doctor"}
			}
		}
	}
	best := time.Hour
	for range 3 {
		began := time.Now()
		_, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: t.TableName, Key: key})
		if err != nil {
			do := ""
			if isDenied(err) {
				do = "allow the service's role dynamodb:GetItem, unless a drill denies it now"
			}
			f.add("read", statusFail, do, "%v", err)
			return
		}
		best = min(best, time.Since(began))
	}
	if best > 50*time.Millisecond {
		f.add("read", statusWarn, "is the table in the service's region, and is its VPC endpoint used?", "the best of three reads took %v", best.Round(time.Millisecond))
		return
	}
	f.add("read", statusOK, "", "the best of three reads took %v", best.Round(time.Millisecond/10))
}

// checkRole says whether the role may be drilled by a policy of its own.
// A role without the tag is in order: it is drilled by the table's policy then.
func (f *doctorFlags) checkRole(ctx context.Context) {
	api, err := roles(f.table)
	if err != nil || f.role == "" {
		return // told already, or not asked for
	}
	name := f.role[strings.LastIndexByte(f.role, '/')+1:]
	out, err := api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		f.add("role", statusWarn, "allow iam:GetRole, or correct the name", "%v", err)
		return
	}
	if out.Role == nil {
		f.add("role", statusWarn, "is the endpoint of IAM right?", "IAM has answered without a role")
		return
	}
	for _, tag := range out.Role.Tags {
		if aws.ToString(tag.Key) == revoke.Tag && aws.ToString(tag.Value) == revoke.TagValue {
			f.add("role", statusOK, "", "it may be drilled by its own policy")
			return
		}
	}
	f.add("role", statusOK, "", "it is there; it is not tagged, so --via role-policy refuses it, and table-policy does not")
}
