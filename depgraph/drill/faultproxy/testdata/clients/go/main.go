// Command client reads an item for each line of its input: a program that knows
// nothing of drills.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	client := dynamodb.NewFromConfig(cfg)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(read(client))
	}
}

func read(client *dynamodb.Client) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("sessions"),
		Key:       map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}},
	})
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		return "error " + api.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded):
		return "error timeout"
	case err != nil:
		return fmt.Sprintf("error broken %T", err)
	}
	if v, ok := out.Item["v"].(*types.AttributeValueMemberS); ok {
		return "ok " + v.Value[:4]
	}
	return "error no item"
}
