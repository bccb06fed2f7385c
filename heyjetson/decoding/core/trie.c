/* Words by their letters. */
#include "search.h"

/* Nodes at each depth of words that are sorted, [longest + 1], and of all; letters are columns of the model's output,
 * one word after the other, and end where `ends` says. */
API int64_t trie_size(const int32_t *letters, const int64_t *ends, int64_t words, int64_t *depths) {
    int64_t total = 1, last = 0, begin = 0;
    depths[0] = 1;
    for (int64_t w = 0; w < words; last = begin, begin = ends[w++]) {
        int64_t length = ends[w] - begin, before = begin - last, same = 0;
        while (same < length && same < before && letters[begin + same] == letters[last + same]) same++;
        for (int64_t d = same; d < length; d++, total++) depths[d + 1]++;
    }
    return total;
}

/* Fill in a trie of that size; `path` and `next` have the room of `depths`. */
API void trie_build(
    const int32_t *letters, const int64_t *ends, int64_t words, const int32_t *numbers, const double *scores,
    const int64_t *depths, int64_t longest, int32_t *first, int32_t *label, int32_t *word, double *ahead,
    int32_t *path, int32_t *next) {
    int64_t last = 0, begin = 0;
    int32_t nodes = 0;
    for (int64_t d = 0; d <= longest; nodes += (int32_t)depths[d++]) next[d] = nodes;
    memset(first, 0, sizeof *first * ((size_t)nodes + 1));
    for (int32_t n = 0; n < nodes; n++) label[n] = word[n] = -1, ahead[n] = -INFINITY;
    path[0] = 0;
    for (int64_t w = 0; w < words; last = begin, begin = ends[w++]) {
        int64_t length = ends[w] - begin, before = begin - last, same = 0;
        while (same < length && same < before && letters[begin + same] == letters[last + same]) same++;
        for (int64_t d = same; d < length; d++) {
            path[d + 1] = next[d + 1]++;
            label[path[d + 1]] = letters[begin + d];
            first[path[d] + 1]++; /* children, for now */
        }
        word[path[length]] = numbers[w];
        for (int64_t d = 0; d <= length; d++)
            if (scores[w] > ahead[path[d]]) ahead[path[d]] = scores[w];
    }
    first[0] = 1;
    for (int32_t n = 0; n < nodes; n++) first[n + 1] += first[n];
}
