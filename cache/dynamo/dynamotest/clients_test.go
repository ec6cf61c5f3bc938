package dynamotest_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// TestClient runs a program in another language against a server, with nothing
// but the usual environment: FAILOPEN_CLIENT is its command line, and
// FAILOPEN_CLIENT_CALLS how many lines that begin with "ok" it must print at
// least. CI does so with boto3, the AWS SDK for JavaScript and connect-dynamodb.
func TestClient(t *testing.T) {
	command := strings.Fields(os.Getenv("FAILOPEN_CLIENT"))
	if len(command) == 0 {
		t.Skip("FAILOPEN_CLIENT names no program")
	}
	least, err := strconv.Atoi(os.Getenv("FAILOPEN_CLIENT_CALLS"))
	if err != nil || least < 1 {
		t.Fatalf("FAILOPEN_CLIENT_CALLS: %v; want a number above 0", err)
	}
	server := dynamotest.New(dynamotest.Options{})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(),
		"AWS_ENDPOINT_URL_DYNAMODB="+server.URL(), // newer SDKs read this one
		"AWS_ENDPOINT_URL="+server.URL(),
		"AWS_ACCESS_KEY_ID="+dynamotest.AccessKey, "AWS_SECRET_ACCESS_KEY="+dynamotest.SecretKey,
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	calls := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "ok ") {
			calls++
		}
	}
	if err != nil || calls < least {
		t.Fatalf("%v; %d calls went well, want %d:\n%s", err, calls, least, out)
	}
	t.Logf("%d calls, %d requests: %v", calls, server.Stats().Total(), server.Stats().Requests)
}
