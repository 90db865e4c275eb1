// Uses the C++ library without streams and exceptions: strings, vectors, maps and sorting on the heap.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tickwork.h"

static std::map<std::string, int> counts;

static int32_t init(const tw_frame *) { return TW_OK; }

static int32_t receive(const tw_frame *message)
{
    const std::string text(reinterpret_cast<const char *>(tw_body(message)), tw_length(message));
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(' ', at), text.size());
        if (end > at)
            counts[text.substr(at, end - at)]++;
        at = end + 1;
    }
    return TW_OK;
}

static int32_t step(const tw_context *)
{
    std::vector<std::pair<int, std::string>> sorted;
    std::string said;
    for (const auto &[word, count] : counts)
        sorted.emplace_back(-count, word);
    std::sort(sorted.begin(), sorted.end());
    for (const auto &[count, word] : sorted)
        said += word + "=" + std::to_string(-count) + " ";
    if (!said.empty())
        std::printf("%s\n", said.c_str());
    return said.empty() ? TW_UNTIL_MESSAGE : tw_publish(0, TW_BYTES, said.data(), (uint32_t)said.size());
}

static int32_t shutdown() { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
