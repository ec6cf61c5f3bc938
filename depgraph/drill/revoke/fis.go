package revoke

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// FISTemplate is an experiment template of AWS Fault Injection Service that cuts
// the subnets with the tag failopen-drill=allowed off from DynamoDB: what a VPC
// endpoint policy would do to everybody behind the endpoint, undone by AWS. The
// role and the alarm that stops it are yours to fill in. It is printed, and
// never run: FIS takes 1 min to 12 h.
// The ARNs in it are of the table's partition, region and account. length is in
// whole minutes because FIS takes an ISO 8601 duration of minutes here.
func FISTemplate(table string, length time.Duration) (string, error) {
	arn := tableARN.FindStringSubmatch(table)
	if arn == nil {
		return "", fmt.Errorf("revoke: Table is %q; want the ARN of one table", table)
	}
	if length < time.Minute || length > 12*time.Hour || length%time.Minute != 0 {
		return "", fmt.Errorf("revoke: For is %v; want whole minutes, 1m to 12h", length)
	}
	type object = map[string]any
	text, err := json.MarshalIndent(object{
		"description": "subnets tagged " + Tag + "=" + TagValue + " without DynamoDB, for " + strings.TrimSuffix(length.String(), "0s"),
		"targets": object{"subnets": object{
			"resourceType": "aws:ec2:subnet", "resourceTags": object{Tag: TagValue}, "selectionMode": "ALL",
		}},
		"actions": object{"cut": object{
			"actionId":   "aws:network:disrupt-connectivity",
			"parameters": object{"duration": fmt.Sprintf("PT%dM", length/time.Minute), "scope": "dynamodb"},
			"targets":    object{"Subnets": "subnets"},
		}},
		"stopConditions": []object{{"source": "aws:cloudwatch:alarm", "value": "arn:" + arn[1] + ":cloudwatch:" + arn[2] + ":" + arn[3] + ":alarm:NAME-OF-YOUR-ALARM"}},
		"roleArn":        "arn:" + arn[1] + ":iam::" + arn[3] + ":role/NAME-OF-THE-ROLE-OF-FIS",
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("revoke: %w", err)
	}
	return string(text), nil
}
