// What the official Go packages of the providers make of responses: as packages.py, which says what goes in and comes out.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	anthropicparam "github.com/anthropics/anthropic-sdk-go/packages/param"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"google.golang.org/genai"
)

type question struct {
	Path   string          `json:"path"`
	Body   json.RawMessage `json:"body"`
	Stream bool            `json:"stream"`
}

type result struct {
	Texts  []string    `json:"texts"`
	Final  []string    `json:"final,omitempty"`
	Tools  [][2]string `json:"tools"`
	Finish []string    `json:"finish"`
}

// texts come in pieces, each under a key, and are listed by their keys.
type texts map[int64]string

func (pieces texts) list() []string {
	var keys []int64
	for key, text := range pieces {
		if text != "" {
			keys = append(keys, key)
		}
	}
	sort.Slice(keys, func(a, b int) bool { return keys[a] < keys[b] })
	list := []string{}
	for _, key := range keys {
		list = append(list, pieces[key])
	}
	return list
}

// ask sends one question through a package.
type ask func(context.Context, question) (result, error)

func openaiClient(address string) openai.Client {
	return openai.NewClient(option.WithBaseURL("http://"+address+"/v1/"), option.WithAPIKey("none"))
}

func openaiChat(address string) ask {
	client := openaiClient(address)
	return func(ctx context.Context, asked question) (result, error) {
		request := param.Override[openai.ChatCompletionNewParams](asked.Body)
		if !asked.Stream {
			answer, err := client.Chat.Completions.New(ctx, request)
			if err != nil {
				return result{}, err
			}
			return chatResult(*answer), nil
		}
		stream := client.Chat.Completions.NewStreaming(ctx, request)
		pieces, whole := texts{}, openai.ChatCompletionAccumulator{}
		for stream.Next() {
			chunk := stream.Current()
			if !whole.AddChunk(chunk) {
				return result{}, errors.New("the package can't put the chunks together")
			}
			for _, choice := range chunk.Choices {
				pieces[choice.Index] += choice.Delta.Content
			}
		}
		told := chatResult(whole.ChatCompletion)
		told.Final, told.Texts = told.Texts, pieces.list()
		return told, stream.Err()
	}
}

func chatResult(answer openai.ChatCompletion) result {
	told := result{Texts: []string{}, Tools: [][2]string{}}
	for _, choice := range answer.Choices {
		if text := choice.Message.Content + choice.Message.Refusal; text != "" {
			told.Texts = append(told.Texts, text)
		}
		for _, call := range choice.Message.ToolCalls {
			told.Tools = append(told.Tools, [2]string{call.Function.Name, call.Function.Arguments})
		}
		told.Finish = append(told.Finish, choice.FinishReason)
	}
	return told
}

func openaiResponses(address string) ask {
	client := openaiClient(address)
	return func(ctx context.Context, asked question) (result, error) {
		request := param.Override[responses.ResponseNewParams](asked.Body)
		if !asked.Stream {
			answer, err := client.Responses.New(ctx, request)
			if err != nil {
				return result{}, err
			}
			return responsesResult(*answer), nil
		}
		stream := client.Responses.NewStreaming(ctx, request)
		pieces, told := texts{}, result{}
		for stream.Next() {
			switch event := stream.Current().AsAny().(type) {
			case responses.ResponseTextDeltaEvent:
				pieces[event.OutputIndex<<16|event.ContentIndex] += event.Delta
			case responses.ResponseCompletedEvent:
				told = responsesResult(event.Response)
			case responses.ResponseIncompleteEvent:
				told = responsesResult(event.Response)
			}
		}
		if stream.Err() == nil && told.Finish == nil {
			return result{}, errors.New("the stream has no end")
		}
		told.Final, told.Texts = told.Texts, pieces.list()
		return told, stream.Err()
	}
}

func responsesResult(answer responses.Response) result {
	told := result{Texts: []string{}, Tools: [][2]string{}, Finish: []string{string(answer.Status)}}
	for _, item := range answer.Output {
		switch item := item.AsAny().(type) {
		case responses.ResponseOutputMessage:
			for _, part := range item.Content {
				if text := part.Text + part.Refusal; text != "" {
					told.Texts = append(told.Texts, text)
				}
			}
		case responses.ResponseFunctionToolCall:
			told.Tools = append(told.Tools, [2]string{item.Name, item.Arguments})
		}
	}
	return told
}

func anthropicMessages(address string) ask {
	client := anthropic.NewClient(anthropicoption.WithBaseURL("http://"+address), anthropicoption.WithAPIKey("none"))
	return func(ctx context.Context, asked question) (result, error) {
		request := anthropicparam.Override[anthropic.MessageNewParams](asked.Body)
		if !asked.Stream {
			answer, err := client.Messages.New(ctx, request)
			if err != nil {
				return result{}, err
			}
			return messageResult(*answer), nil
		}
		stream := client.Messages.NewStreaming(ctx, request)
		pieces, whole := texts{}, anthropic.Message{}
		for stream.Next() {
			event := stream.Current()
			if err := whole.Accumulate(event); err != nil {
				return result{}, err
			}
			if delta, ok := event.AsAny().(anthropic.ContentBlockDeltaEvent); ok {
				pieces[delta.Index] += delta.Delta.Text
			}
		}
		told := messageResult(whole)
		told.Final, told.Texts = told.Texts, pieces.list()
		return told, stream.Err()
	}
}

func messageResult(answer anthropic.Message) result {
	told := result{Texts: []string{}, Tools: [][2]string{}, Finish: []string{string(answer.StopReason)}}
	for _, block := range answer.Content {
		switch block := block.AsAny().(type) {
		case anthropic.TextBlock:
			if block.Text != "" {
				told.Texts = append(told.Texts, block.Text)
			}
		case anthropic.ToolUseBlock:
			told.Tools = append(told.Tools, [2]string{block.Name, string(block.Input)})
		}
	}
	return told
}

func geminiGenerate(address string) ask {
	return func(ctx context.Context, asked question) (result, error) {
		client, err := genai.NewClient(ctx, &genai.ClientConfig{
			APIKey:      "none",
			Backend:     genai.BackendGeminiAPI,
			HTTPOptions: genai.HTTPOptions{BaseURL: "http://" + address},
		})
		if err != nil {
			return result{}, err
		}
		var body struct {
			Contents []*genai.Content `json:"contents"`
		}
		rest := map[string]any{}
		if err := errors.Join(json.Unmarshal(asked.Body, &body), json.Unmarshal(asked.Body, &rest)); err != nil {
			return result{}, err
		}
		// What the caller of the package says goes in by its own road; the rest of the body beside it.
		delete(rest, "contents")
		config := &genai.GenerateContentConfig{HTTPOptions: &genai.HTTPOptions{ExtraBody: rest}}
		_, model, _ := strings.Cut(asked.Path, "/models/")
		model, _, _ = strings.Cut(model, ":")
		told := geminiResult{texts: texts{}, finish: texts{}, tools: [][2]string{}}
		if !asked.Stream {
			answer, err := client.Models.GenerateContent(ctx, model, body.Contents, config)
			if err != nil {
				return result{}, err
			}
			return told.add(answer).result(), nil
		}
		for answer, err := range client.Models.GenerateContentStream(ctx, model, body.Contents, config) {
			if err != nil {
				return result{}, err
			}
			told = told.add(answer)
		}
		return told.result(), nil
	}
}

type geminiResult struct {
	texts, finish texts
	tools         [][2]string
}

func (told geminiResult) add(answer *genai.GenerateContentResponse) geminiResult {
	for _, candidate := range answer.Candidates {
		index := int64(candidate.Index)
		if candidate.Content != nil {
			for _, part := range candidate.Content.Parts {
				if !part.Thought {
					told.texts[index] += part.Text
				}
				if call := part.FunctionCall; call != nil {
					arguments, _ := json.Marshal(call.Args)
					told.tools = append(told.tools, [2]string{call.Name, string(arguments)})
				}
			}
		}
		if candidate.FinishReason != "" {
			told.finish[index] = string(candidate.FinishReason)
		}
	}
	return told
}

func (told geminiResult) result() result {
	return result{Texts: told.texts.list(), Tools: told.tools, Finish: told.finish.list()}
}

// message returns what the provider says: the error texts of two packages have only the status.
func message(err error) string {
	var fromOpenai *openai.Error
	if errors.As(err, &fromOpenai) {
		return fromOpenai.Message
	}
	var fromAnthropic *anthropic.Error
	if errors.As(err, &fromAnthropic) {
		return fromAnthropic.RawJSON()
	}
	return err.Error()
}

var packages = map[string]func(address string) ask{
	"openai.chat":        openaiChat,
	"openai.responses":   openaiResponses,
	"anthropic.messages": anthropicMessages,
	"gemini.generate":    geminiGenerate,
}

// asked is a line: the questions for one client.
type asked struct {
	Address   string     `json:"address"`
	Questions []question `json:"questions"`
}

func main() {
	client := packages[os.Args[1]]
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var line asked
		err := json.Unmarshal(lines.Bytes(), &line)
		if err != nil {
			panic(err)
		}
		ask := client(line.Address)
		results := []any{}
		for _, question := range line.Questions {
			told, err := ask(context.Background(), question)
			if err != nil {
				results = append(results, map[string]string{"raised": fmt.Sprintf("%T", err), "message": message(err)})
				continue
			}
			results = append(results, told)
		}
		_ = out.Encode(results)
	}
}
