import { inWords } from "../xpc/in_words.ts";

/** The longest name of a field. */
const MAX_NAME_LENGTH = 64;

/** What C and C++ keep for themselves, their common macros among them: a declaration with such a name does not compile. */
const KEYWORDS = new Set(
  `alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class co_await
  co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do
  double dynamic_cast else enum errno explicit export extern false float for friend goto if inline int linux long mutable
  namespace new noexcept not not_eq nullptr offsetof operator or or_eq private protected public register
  reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch template
  this thread_local throw true try typedef typeid typename typeof typeof_unqual union unix unsigned using virtual void
  volatile wchar_t while xor xor_eq NULL`.split(/\s+/),
);

/** Members that views, layouts and all objects have, in JavaScript or in Swift. */
const MEMBERS = new Set([
  ...Object.getOwnPropertyNames(Object.prototype),
  ...[
    "buffer",
    "byteLength",
    "byteOffset",
    "prototype",
    "self",
    "then",
    "toJSON",
    "Protocol",
    "Self",
    "Type",
  ],
]);

/**
 * Checks that a name can be that of a field: in JavaScript, in C, in C++ and in Swift.
 *
 * @throws {TypeError} if it cannot; the message says why
 */
export function checkFieldName(name: string): void {
  const reason = reasonAgainst(name);
  if (reason !== undefined) {
    throw new TypeError(
      `Cannot make a layout: the name of the field ${inWords(name)} ${reason}; choose another`,
    );
  }
}

/** Why a name cannot be that of a field; `undefined` if it can. */
export function reasonAgainst(name: string): string | undefined {
  if (MEMBERS.has(name)) return "is that of a member which views or all objects have";
  return reasonAgainstInC(name);
}

/** Why a name cannot be declared in C; `undefined` if it can. */
export function reasonAgainstInC(name: string): string | undefined {
  if (name.length > MAX_NAME_LENGTH) {
    return `has ${name.length} characters, but at most ${MAX_NAME_LENGTH} may be`;
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return "is not an identifier of the characters A-Z a-z 0-9 _ that begins with none of 0-9";
  }
  if (KEYWORDS.has(name)) return "is a keyword or a macro of C or C++";
  if (/^_[A-Z_]|^_$/.test(name)) return "begins as the names do that C keeps for itself";
  return undefined;
}
