#pragma once

#include "config/error.h"
#include "trace/record.h"

#include <set>
#include <string>
#include <string_view>

namespace fusesim::trace {

// The header of a text trace, and of a binary one inside its envelope, is one `key: value` a line.
// Facts are `fact KEY: VALUE`. Control characters and % are percent-encoded.

/// All lines, each with its LF. Members that are not known are left out.
std::string header_lines(const Header& header);

/// The lines that `now` has and `before` has not: what a writer learnt on its way.
std::string changed_lines(const Header& before, const Header& now);

/// Reads such lines. A key that comes twice, is unknown or has a bad value is an error.
class HeaderParser {
  public:
    explicit HeaderParser(Header& header) : header_(header) {}

    void line(std::string_view text, const config::Place& place);

    /// From here on keys may come again and replace what was said before.
    void begin_end_lines() { seen_.clear(); }

    /// Checks that what every trace must say was said.
    void complete(const config::Place& place) const;

  private:
    Header& header_;
    std::set<std::string, std::less<>> seen_;
    bool has_layer_ = false;
};

/// Hands the lines of `text` to `parser`; all are placed at `place`.
void parse_lines(std::string_view text, HeaderParser& parser, const config::Place& place);

/// Appends `bytes` with everything but printable ASCII percent-encoded, and also `%`, and the
/// characters of `also`.
void percent_encode(std::string_view bytes, std::string_view also, std::string& out);

/// Replaces `out`; false if a % is not followed by two hexadecimal digits.
bool percent_decode(std::string_view text, std::string& out);

}  // namespace fusesim::trace
