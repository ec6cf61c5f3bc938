package dynamodb

import "context"

type (
	Options       struct{}
	Client        struct{}
	GetItemInput  struct{}
	GetItemOutput struct{}
)

func (c *Client) GetItem(context.Context, *GetItemInput, ...func(*Options)) (*GetItemOutput, error) {
	return nil, nil
}
