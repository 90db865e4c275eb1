/* tickwork.hpp: agents in C++20, on top of tickwork.h.
 *
 * No exceptions, no RTTI, no standard library, no allocation. An agent is a class; its members are its state:
 *
 *     #include "tickwork.hpp"
 *
 *     constexpr tickwork::Topic totals{0};        // The first name of `publish` in agent.toml.
 *
 *     class Counter {
 *     public:
 *         tickwork::Code receive(tickwork::Message message)
 *         {
 *             total_++;
 *             return totals.publish(message.body());
 *         }
 *
 *     private:
 *         uint64_t total_ = 0;
 *     };
 *
 *     TICKWORK_AGENT(Counter)
 *
 * Members that are called, each of them optional save `receive`:
 *     Code init(Config config)            once, with the configuration; a failure refuses it
 *     Code receive(Message message)       each frame of the mailbox, in order
 *     Sleep step(Context context)         after the messages; without it, the agent sleeps until a message
 *     Code shutdown()                     the last turn; its outbox still counts
 *     void save(StateWriter &to) const    with TICKWORK_STATE(Counter): the state, for another version
 *     Code load(StateReader &from)        with TICKWORK_STATE(Counter): takes it in a new object, in place of init
 *
 * What tickwork.h says holds here too: messages are borrowed, a failing Code rolls the turn back, handles are places in the lists
 * of agent.toml, and the object is constructed when the agent begins and never destroyed.
 */
#ifndef TICKWORK_HPP
#define TICKWORK_HPP

#include "tickwork.h"

#if __cplusplus < 202002L
#error "tickwork.hpp needs C++20; for C++17 there is tickwork.h"
#endif

namespace tickwork {

struct Place_ {
    void *at;
};

} // namespace tickwork

/* Constructs an object in memory that is there; the library's own form of it lies in a header that is not. */
inline void *operator new(size_t, tickwork::Place_ place) noexcept { return place.at; }

namespace tickwork {

/* ---- Spans ------------------------------------------------------------------------------------------------------ */

/* `size()` objects that lie elsewhere. It owns nothing. */
template <class T> class Span {
public:
    constexpr Span() = default;
    constexpr Span(T *data, uint32_t size) : data_(data), size_(size) {}
    template <uint32_t Size> constexpr Span(T (&array)[Size]) : data_(array), size_(Size) {}

    constexpr T *data() const { return data_; }
    constexpr uint32_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr T *begin() const { return data_; }
    constexpr T *end() const { return data_ + size_; }

    /* An index beyond the end traps. */
    constexpr T &operator[](uint32_t index) const
    {
        if (index >= size_)
            __builtin_trap();
        return data_[index];
    }

    /* Returns the part from `from` on, at most `size` objects of it; empty where it begins beyond the end. */
    constexpr Span part(uint32_t from, uint32_t size = 0xffffffffu) const
    {
        const uint32_t rest = from < size_ ? size_ - from : 0;
        return Span(rest ? data_ + from : data_, size < rest ? size : rest);
    }

private:
    T *data_ = nullptr;
    uint32_t size_ = 0;
};

/* Bytes to read: of a body, a text, or any object without pointers. */
class Bytes : public Span<const uint8_t> {
public:
    constexpr Bytes() = default;
    constexpr Bytes(const uint8_t *data, uint32_t size) : Span(data, size) {}
    constexpr Bytes(Span<const uint8_t> span) : Span(span) {}

    /* A text as it stands in the source, without its final zero byte. */
    template <uint32_t Size>
    Bytes(const char (&text)[Size]) : Span(reinterpret_cast<const uint8_t *>(text), Size - 1)
    {
    }
    Bytes(const char *text, uint32_t size) : Span(reinterpret_cast<const uint8_t *>(text), size) {}

    /* The bytes of an object, as they lie in memory: little-endian. */
    template <class T> static Bytes of(const T &object)
    {
        static_assert(__is_trivially_copyable(T), "only plain objects have bytes that mean something elsewhere");
        return Bytes(reinterpret_cast<const uint8_t *>(&object), sizeof(T));
    }

    /* The bytes that follow one another as a T from `at` on. Where they do not fit, the result is T(). */
    template <class T> T read(uint32_t at = 0) const
    {
        static_assert(__is_trivially_copyable(T), "only plain objects can be read from bytes");
        T value{};
        if (at <= size() && size() - at >= sizeof(T))
            __builtin_memcpy(&value, data() + at, sizeof(T));
        return value;
    }

    bool operator==(Bytes other) const { return size() == other.size() && tw_equal(data(), other.data(), size()); }
};

/* A value, or nothing. */
template <class T> class Maybe {
public:
    constexpr Maybe() = default;
    constexpr Maybe(T value) : value_(value), there_(true) {}
    constexpr explicit operator bool() const { return there_; }
    constexpr T or_else(T otherwise) const { return there_ ? value_ : otherwise; }

    /* Asking for what is not there traps. */
    constexpr T operator*() const
    {
        if (!there_)
            __builtin_trap();
        return value_;
    }

private:
    T value_{};
    bool there_ = false;
};

/* ---- Codes ------------------------------------------------------------------------------------------------------ */

/* What a call came to: 0, or a negative number. It must be looked at or handed on. */
class [[nodiscard]] Code {
public:
    constexpr Code(int32_t number = TW_OK) : number_(number) {}
    constexpr int32_t number() const { return number_; }
    constexpr bool ok() const { return number_ >= 0; }
    constexpr bool operator==(const Code &other) const = default;

    /* Returns this failure, or else what `next` comes to: `return a.send(x).then([&] { return b.send(y); });` */
    template <class Next> Code then(Next next) const { return ok() ? Code(next()) : *this; }

private:
    int32_t number_;
};

constexpr Code done{TW_OK}, failed{TW_FAILED}, bad_message{TW_BAD_MESSAGE}, no_memory{TW_NO_MEMORY}, denied{TW_DENIED},
    not_found{TW_NOT_FOUND}, too_big{TW_TOO_BIG}, outbox_full{TW_OUTBOX_FULL}, unsupported{TW_UNSUPPORTED},
    bad_state{TW_BAD_STATE}, conflict{TW_CONFLICT}, timeout{TW_TIMEOUT}, fatal{TW_FATAL};

/* When a step wants to run again. A failing Code is one too. */
class Sleep {
public:
    constexpr Sleep(Code code) : number_(code.number() < 0 ? code.number() : 0) {}
    static constexpr Sleep next_tick() { return Sleep(0); }
    static constexpr Sleep until_message() { return Sleep(TW_UNTIL_MESSAGE); }
    static constexpr Sleep again() { return Sleep(TW_AGAIN); } /* Plan me again, this work is unfinished. */

    /* Units: ticks to sleep; 0 is the next tick. */
    static constexpr Sleep ticks(uint32_t count) { return Sleep(count < TW_AGAIN ? (int32_t)count : TW_AGAIN - 1); }

    constexpr int32_t number() const { return number_; }

private:
    constexpr explicit Sleep(int32_t number) : number_(number) {}
    int32_t number_;
};

enum class Encoding : uint16_t { bytes, json, msgpack, tensor, artifact, in_window };

/* Kinds of frames an agent gets; from `user` on they are agents' own. */
enum class Kind : uint16_t {
    message = TW_MESSAGE,
    result = TW_RESULT,
    error = TW_ERROR,
    timer_fired = TW_TIMER_FIRED,
    retained = TW_RETAINED,
    window_epoch = TW_WINDOW_EPOCH,
    config = TW_CONFIG,
    task_ready = TW_TASK_READY,
    user = 0x8000
};

/* ---- Tensors ---------------------------------------------------------------------------------------------------- */

/* Types of a tensor's elements, the codes of ONNX. Text and types of less than a byte are as tickwork.h describes them. */
enum class DType : uint16_t {
    float32 = TW_FLOAT32,
    uint8 = TW_UINT8,
    int8 = TW_INT8,
    uint16 = TW_UINT16,
    int16 = TW_INT16,
    int32 = TW_INT32,
    int64 = TW_INT64,
    string = TW_STRING,
    boolean = TW_BOOL,
    float16 = TW_FLOAT16,
    float64 = TW_FLOAT64,
    uint32 = TW_UINT32,
    uint64 = TW_UINT64,
    complex64 = TW_COMPLEX64,
    complex128 = TW_COMPLEX128,
    bfloat16 = TW_BFLOAT16,
    float8e4m3fn = TW_FLOAT8E4M3FN,
    float8e4m3fnuz = TW_FLOAT8E4M3FNUZ,
    float8e5m2 = TW_FLOAT8E5M2,
    float8e5m2fnuz = TW_FLOAT8E5M2FNUZ,
    uint4 = TW_UINT4,
    int4 = TW_INT4,
    float4e2m1 = TW_FLOAT4E2M1,
    float8e8m0 = TW_FLOAT8E8M0,
    uint2 = TW_UINT2,
    int2 = TW_INT2
};

/* Returns the type of a tensor of C++'s T. Asking for a T that has none does not compile. */
template <class T> consteval DType dtype_of()
{
    if constexpr (__is_same(T, float))
        return DType::float32;
    else if constexpr (__is_same(T, double))
        return DType::float64;
    else if constexpr (__is_same(T, int8_t))
        return DType::int8;
    else if constexpr (__is_same(T, int16_t))
        return DType::int16;
    else if constexpr (__is_same(T, int32_t))
        return DType::int32;
    else if constexpr (__is_same(T, int64_t))
        return DType::int64;
    else if constexpr (__is_same(T, uint8_t))
        return DType::uint8;
    else if constexpr (__is_same(T, uint16_t))
        return DType::uint16;
    else if constexpr (__is_same(T, uint32_t))
        return DType::uint32;
    else if constexpr (__is_same(T, uint64_t))
        return DType::uint64;
    else
        static_assert(!sizeof(T), "tensors have no elements of this type");
}

/* A tensor. It owns nothing: of one that was read, name, shape and elements lie in the message. */
class Tensor {
public:
    Tensor() : tensor_() {}
    explicit Tensor(const tw_tensor &tensor) : tensor_(tensor) {}

    /* Elements row by row. One whose elements are not as many as the shape says is refused by `infer`, with too_big. */
    template <class T>
    Tensor(Span<const int64_t> shape, Span<T> elements, Bytes name = Bytes())
        : Tensor(dtype_of<__remove_const(T)>(), shape,
                 Bytes(reinterpret_cast<const uint8_t *>(elements.data()), elements.size() * sizeof(T)), name)
    {
    }
    template <class T, uint32_t Size>
    Tensor(Span<const int64_t> shape, const T (&elements)[Size], Bytes name = Bytes())
        : Tensor(shape, Span<const T>(elements), name)
    {
    }

    /* The data of any type as it lies in a body. */
    Tensor(DType dtype, Span<const int64_t> shape, Bytes data, Bytes name = Bytes())
        : tensor_(tw_tensor_of(nullptr, (uint16_t)dtype, shape.data(), (uint16_t)shape.size(), data.data()))
    {
        tensor_.name = reinterpret_cast<const char *>(name.data());
        tensor_.name_length = name.size();
        if (dtype == DType::string)
            tensor_.length = data.size();
        else if (tensor_.length != data.size() || shape.size() > TW_RANK_MOST)
            tensor_.length = 0xffffffffu;
    }

    Bytes name() const { return Bytes(tensor_.name, tensor_.name_length); }
    DType dtype() const { return (DType)tensor_.dtype; }
    Span<const int64_t> shape() const { return Span<const int64_t>(tensor_.shape, tensor_.rank); }
    Bytes data() const { return Bytes(static_cast<const uint8_t *>(tensor_.data), tensor_.length); }

    /* Returns the elements; none where they are of another type than T. Booleans are read as uint8_t. */
    template <class T> Span<const T> elements() const
    {
        if (dtype() != dtype_of<T>() && !(__is_same(T, uint8_t) && dtype() == DType::boolean))
            return Span<const T>();
        return Span<const T>(static_cast<const T *>(tensor_.data), tensor_.length / sizeof(T));
    }

    /* Where a body of tensors is written: bytes it takes there, and the writing, as tw_put_tensor. */
    uint32_t bytes() const { return tw_tensor_bytes(&tensor_); }
    uint8_t *put(uint8_t *at) const { return tw_put_tensor(at, &tensor_); }

private:
    friend struct Model;
    tw_tensor tensor_;
};

/* The tensors of a body, one after the other. */
class Tensors {
public:
    explicit Tensors(Bytes body) : body_(body) {}

    /* Returns the next tensor, or nothing behind the last and where the bytes are no tensor; `code` tells the two apart. */
    Maybe<Tensor> next()
    {
        tw_tensor tensor;
        code_ = tw_read_tensor(body_.data(), body_.size(), &offset_, &tensor);
        return code_ ? Maybe<Tensor>() : Maybe<Tensor>(Tensor(tensor));
    }

    /* Returns bad_message where reading has met what is no tensor, and done otherwise. */
    Code code() const { return code_ == TW_BAD_MESSAGE ? bad_message : done; }

private:
    Bytes body_;
    uint32_t offset_ = 0;
    int32_t code_ = TW_OK;
};

/* ---- The turn --------------------------------------------------------------------------------------------------- */

inline uint64_t tick() { return tw_tick(); }
inline uint32_t self() { return tw_self(); }
inline uint64_t seed() { return tw_seed(); }
inline uint64_t fuel() { return tw_fuel(); }
inline uint64_t wall_us() { return tw_wall_us(); }

/* Random numbers: the stream starts anew with each turn. As tw_random and tw_random_below. */
inline uint64_t random() { return tw_random(); }
inline uint32_t random_below(uint32_t bound) { return tw_random_below(bound); }

/* What a step is given: the tick, and how much room is left. */
class Context {
public:
    explicit Context(const tw_context *context) : context_(context) {}
    uint64_t tick() const { return context_->tick; }
    uint64_t seed() const { return context_->seed; }
    uint64_t fuel() const { return context_->fuel; }
    uint64_t wall_us() const { return context_->wall_us; }
    uint32_t agent() const { return context_->agent; }
    uint32_t messages() const { return context_->in_count; }

private:
    const tw_context *context_;
};

/* ---- Writing frames --------------------------------------------------------------------------------------------- */

/* Returns how long a body the next frame may have. Units: bytes. */
inline uint32_t room() { return tw_room(); }

/* Leaves a frame of any kind. What all calls below come to. */
inline Code write(uint16_t kind, Encoding encoding, uint32_t destination, Bytes body)
{
    return tw_write(kind, (uint16_t)encoding, destination, body.data(), body.size());
}

/* A frame whose body is written in place. One that goes out of scope without `send` has never been. */
class Draft {
public:
    /* Asks for room for a body of `size` bytes; the draft is false where there is none. */
    explicit Draft(uint32_t size) : body_(tw_begin(size), size) {}
    Draft(const Draft &) = delete;
    Draft &operator=(const Draft &) = delete;
    explicit operator bool() const { return body_.data() != nullptr; }
    Span<uint8_t> body() const { return body_; }

    /* Leaves the frame with the first `size` bytes of the body. Nothing else may be written between the draft and this. */
    Code send(uint16_t kind, Encoding encoding, uint32_t destination, uint32_t size)
    {
        if (!*this || size > body_.size())
            return too_big;
        tw_end(kind, (uint16_t)encoding, destination, size);
        body_ = Span<uint8_t>();
        return done;
    }

private:
    Span<uint8_t> body_;
};

/* A topic of the manifest's `publish` list. */
struct Topic {
    uint32_t handle;
    Code publish(Bytes body, Encoding encoding = Encoding::bytes) const
    {
        return write(TW_PUBLISH, encoding, handle, body);
    }
    Code publish_retained(Bytes body, Encoding encoding = Encoding::bytes) const
    {
        return write(TW_PUBLISH_RETAINED, encoding, handle, body);
    }
};

/* A topic of the manifest's `subscribe` list. */
struct Subscription {
    uint32_t handle;
    Code join() const { return tw_join(handle); }
    Code leave() const { return tw_leave(handle); }
};

/* An agent of the manifest's `send` list. */
struct Peer {
    uint32_t handle;
    Code send(Bytes body, Encoding encoding = Encoding::bytes) const { return write(TW_SEND, encoding, handle, body); }

    /* Plans a task for it: see tw_task. */
    Code task(uint32_t tag, int32_t priority, Bytes body, Span<const uint32_t> after = {}) const
    {
        return tw_task(handle, tag, priority, after.data(), after.size(), body.data(), body.size());
    }
};

/* An agent by its number in the run, which the `send` list must allow. */
struct Agent {
    uint32_t number;
    Code send(Bytes body, Encoding encoding = Encoding::bytes) const
    {
        return tw_send_to(number, (uint16_t)encoding, body.data(), body.size());
    }

    /* Leaves a frame of a kind of the user's own, from 0x8000 on. */
    Code send_kind(uint16_t kind, Bytes body, Encoding encoding = Encoding::bytes) const
    {
        return write(kind, encoding, TW_RAW_AGENT | number, body);
    }
    bool operator==(const Agent &) const = default;
};

/* A skill of the manifest's `skills` list. The answer comes as Kind::result or Kind::error. */
struct Skill {
    uint32_t handle;
    Code call(Bytes body, Encoding encoding = Encoding::bytes) const { return write(TW_SKILL, encoding, handle, body); }
};

/* A model of the manifest's `models` list. The answer comes as Kind::result or Kind::error. */
struct Model {
    uint32_t handle;
    Code infer(Bytes body, Encoding encoding = Encoding::bytes) const { return write(TW_INFER, encoding, handle, body); }

    /* Asks for the model's outputs on tensors, one for each input: model.infer(Tensor({1, 4}, elements)) */
    Code infer(Span<const Tensor> tensors) const
    {
        static_assert(sizeof(Tensor) == sizeof(tw_tensor), "a tensor adds nothing to C's");
        return tw_infer_tensors(handle, &tensors.data()->tensor_, tensors.size());
    }
    Code infer(const Tensor &tensor) const { return infer(Span<const Tensor>(&tensor, 1)); }

    /* Asks for its outputs on tensors that lie in a window: see tw_infer_window. */
    Code infer_window(uint32_t window, uint64_t offset, uint64_t length) const
    {
        return tw_infer_window(handle, window, offset, length);
    }
};

/* A template of the manifest's `spawn` list. */
struct Template {
    uint32_t handle;
    Code spawn(Bytes config, Encoding encoding = Encoding::json) const
    {
        return write(TW_SPAWN, encoding, handle, config);
    }
};

/* A window of the manifest's `windows` list, and the region its content lies in. Defined outside of any function, and listed once
 * in TICKWORK_WINDOWS. */
template <uint32_t Handle, uint32_t Capacity> class Window {
public:
    static constexpr uint32_t handle = Handle, capacity = Capacity;
    Span<uint8_t> region() { return region_; }
    Bytes content() const { return Bytes(region_, Capacity); }

    /* Puts `content` at the region's start and makes it the window's content when the tick is committed. */
    Code put(Bytes content)
    {
        if (content.size() > Capacity)
            return too_big;
        tw_copy(region_, content.data(), content.size());
        return write(0, content.size());
    }

    /* Tells that the bytes [offset, offset + length) of the region were written: see tw_window_write. */
    Code write(uint64_t offset, uint64_t length) const { return tw_window_write(Handle, offset, length); }

    tw_window listed() { return {region_, Capacity}; }

private:
    alignas(16) uint8_t region_[Capacity];
};

/* Asks for a Kind::timer_fired frame that carries `tag`. Units: ticks; 0 counts as 1. */
inline Code timer(uint32_t tag, uint64_t delay) { return tw_timer(tag, delay); }

/* Ends this agent after the turn. Its outbox still counts. */
inline Code leave_run() { return tw_exit(); }

/* Leaves a line of text for a person. */
inline Code log(Bytes text) { return write(TW_LOG, Encoding::bytes, 0, text); }

/* Leaves a measurement for a person. */
inline Code metric(const char *name, int64_t value) { return tw_metric(name, value); }

/* ---- Reading frames --------------------------------------------------------------------------------------------- */

/* A frame of the inbox. It is valid until the function it was given to returns; copy what has to be kept. */
class Message {
public:
    explicit Message(const tw_frame *frame) : frame_(frame) {}

    uint16_t kind_number() const { return frame_->kind; }
    bool is(Kind kind) const { return frame_->kind == (uint16_t)kind; }
    Encoding encoding() const { return (Encoding)frame_->encoding; }
    Bytes body() const { return Bytes(tw_body(frame_), tw_length(frame_)); }
    uint32_t destination() const { return frame_->destination; }
    uint64_t seq() const { return frame_->seq; }
    uint64_t tick() const { return frame_->tick; }
    const tw_frame *raw() const { return frame_; }

    /* Who sent it. From outside nobody did. */
    bool from_outside() const { return frame_->source == TW_OUTSIDE; }
    Agent source() const { return Agent{frame_->source}; }

    /* How it came: directly, or by a topic. */
    bool direct() const { return frame_->destination == TW_DIRECT; }
    bool by(Subscription topic) const { return frame_->destination == topic.handle; }

    /* What a Kind::timer_fired or Kind::task_ready carries. */
    uint32_t tag() const { return frame_->destination; }

    /* Whether a Kind::result or Kind::error is an answer of that skill or model. */
    bool answers(Skill skill) const { return answer() && frame_->destination == skill.handle; }
    bool answers(Model model) const { return answer() && frame_->destination == (TW_MODEL | model.handle); }

    /* What a Kind::error says: the refusal, and the kind of the frame it is about. */
    Code error() const { return tw_error_code(frame_); }
    uint32_t error_kind() const { return tw_error_kind(frame_); }

    /* The tensors of a model's answer: all of them, or the one of that name. */
    Tensors tensors() const { return Tensors(encoding() == Encoding::tensor ? body() : Bytes()); }
    Maybe<Tensor> tensor(Bytes name) const
    {
        Tensors each = tensors();
        while (const Maybe<Tensor> found = each.next())
            if ((*found).name() == name)
                return found;
        return Maybe<Tensor>();
    }

    /* What a Kind::window_epoch says. */
    Maybe<tw_epoch> epoch() const
    {
        tw_epoch epoch;
        return tw_read_epoch(frame_, &epoch) ? Maybe<tw_epoch>(epoch) : Maybe<tw_epoch>();
    }

    /* Answers whoever sent it; not_found where no agent did. */
    Code reply(Bytes body, Encoding encoding = Encoding::bytes) const
    {
        return tw_reply(frame_, (uint16_t)encoding, body.data(), body.size());
    }

private:
    bool answer() const { return is(Kind::result) || is(Kind::error); }
    const tw_frame *frame_;
};

/* The configuration an agent begins with. */
class Config {
public:
    explicit Config(const tw_frame *frame) : frame_(frame) {}
    Bytes json() const { return Bytes(tw_body(frame_), tw_length(frame_)); }
    int64_t whole(const char *key, int64_t otherwise) const { return tw_config_whole(frame_, key, otherwise); }

    /* The text under a key as it is written (escapes stay). It is valid while init runs. */
    Maybe<Bytes> text(const char *key) const
    {
        const uint8_t *text;
        uint32_t length;
        return tw_config_text(frame_, key, &text, &length) ? Maybe<Bytes>(Bytes(text, length)) : Maybe<Bytes>();
    }

private:
    const tw_frame *frame_;
};

/* ---- Numbers and text ------------------------------------------------------------------------------------------- */

/* Reads a decimal number as a whole number of 10^-`decimals`: see tw_parse_fixed. */
inline Maybe<int64_t> parse_fixed(Bytes text, uint32_t decimals)
{
    int64_t value;
    return tw_parse_fixed(text.data(), text.size(), decimals, &value) ? Maybe<int64_t>() : Maybe<int64_t>(value);
}

/* Reads a whole number. */
inline Maybe<int64_t> parse_whole(Bytes text)
{
    int64_t value;
    return tw_parse_whole(text.data(), text.size(), &value) ? Maybe<int64_t>() : Maybe<int64_t>(value);
}

/* Returns the largest whole number whose square is not above `value`. */
inline uint32_t root(uint64_t value) { return tw_root(value); }

/* The fields of a separated line, one after the other. */
class Fields {
public:
    Fields(Bytes line, char separator) : line_(tw_line_of(line.data(), line.size())), separator_((uint8_t)separator) {}

    /* Returns the next field, or nothing behind the last. */
    Maybe<Bytes> next()
    {
        const uint8_t *field;
        uint32_t length;
        return tw_field(&line_, separator_, &field, &length) ? Maybe<Bytes>(Bytes(field, length)) : Maybe<Bytes>();
    }

private:
    tw_line line_;
    uint8_t separator_;
};

/* A text of at most `Capacity` bytes; what does not fit is cut off. */
template <uint32_t Capacity> class Text {
public:
    Text() : text_(tw_text_in(buffer_, Capacity)) {}
    Text(const Text &) = delete;
    Text &operator=(const Text &) = delete;

    Text &operator<<(Bytes piece)
    {
        tw_add(&text_, (const char *)piece.data(), piece.size());
        return *this;
    }
    template <uint32_t Size> Text &operator<<(const char (&piece)[Size]) { return *this << Bytes(piece); }
    Text &operator<<(int64_t value) { return fixed(value, 0); }
    Text &fixed(int64_t value, uint32_t decimals)
    {
        tw_add_fixed(&text_, value, decimals);
        return *this;
    }

    bool cut() const { return text_.cut; }
    Bytes bytes() const { return Bytes(buffer_, text_.length); }
    operator Bytes() const { return bytes(); }

private:
    char buffer_[Capacity];
    tw_text text_;
};

/* ---- State ------------------------------------------------------------------------------------------------------ */

/* Writes a state, value by value. What does not fit makes the whole save fail with too_big. */
class StateWriter {
public:
    StateWriter(uint8_t *to, uint32_t capacity) : to_(to), capacity_(capacity) {}
    template <class T> StateWriter &put(const T &value)
    {
        static_assert(__is_trivially_copyable(T), "only plain objects can be saved as they are");
        return bytes(Bytes::of(value));
    }
    StateWriter &bytes(Bytes piece)
    {
        full_ = full_ || piece.size() > capacity_ - length_;
        if (!full_) {
            tw_copy(to_ + length_, piece.data(), piece.size());
            length_ += piece.size();
        }
        return *this;
    }
    int32_t result() const { return full_ ? TW_TOO_BIG : (int32_t)length_; }

private:
    uint8_t *to_;
    uint32_t capacity_, length_ = 0;
    bool full_ = false;
};

/* Reads a state, value by value. A state that is too short or too long makes the whole load fail with bad_message. */
class StateReader {
public:
    StateReader(const uint8_t *from, uint32_t length) : rest_(from, length) {}
    template <class T> StateReader &get(T &value)
    {
        if (rest_.size() < sizeof(T))
            bad_ = true;
        else
            value = rest_.template read<T>();
        rest_ = rest_.part(sizeof(T));
        return *this;
    }
    uint32_t left() const { return rest_.size(); }
    bool whole() const { return !bad_ && rest_.empty(); }

private:
    Bytes rest_;
    bool bad_ = false;
};

/* ---- Exports ---------------------------------------------------------------------------------------------------- */

/* Calls the members of an agent of class A. The object lies in the module's memory and is made when the agent begins. */
template <class A> class Runner {
public:
    static int32_t init(const tw_frame *config)
    {
        A *agent = make();
        if constexpr (requires(Config given) { agent->init(given); })
            return Code(agent->init(Config(config))).number();
        return TW_OK;
    }

    static int32_t receive(const tw_frame *message) { return Code(agent()->receive(Message(message))).number(); }

    static int32_t step(const tw_context *context)
    {
        if constexpr (requires(A &a, Context given) { a.step(given); })
            return Sleep(agent()->step(Context(context))).number();
        return TW_UNTIL_MESSAGE;
    }

    static int32_t shutdown()
    {
        if constexpr (requires(A &a) { a.shutdown(); })
            return Code(agent()->shutdown()).number();
        return TW_OK;
    }

    static int32_t save(uint8_t *to, uint32_t capacity)
    {
        StateWriter writer(to, capacity);
        static_cast<const A *>(agent())->save(writer);
        return writer.result();
    }

    static int32_t load(const uint8_t *from, uint32_t length)
    {
        StateReader reader(from, length);
        const Code code = make()->load(reader);
        return code.ok() && !reader.whole() ? TW_BAD_MESSAGE : code.number();
    }

private:
    alignas(A) static inline uint8_t memory_[sizeof(A)];
    static A *make() { return ::new (Place_{memory_}) A(); }
    static A *agent() { return __builtin_launder(reinterpret_cast<A *>(memory_)); }
};

/* Returns the table that tw_windows gives. */
template <class... Windows> const tw_window *list_windows(Windows &...windows)
{
    static tw_window listed[sizeof...(Windows)];
    uint32_t count = 0;
    ((listed[count++] = windows.listed()), ...);
    return listed;
}

/* Returns whether windows stand in the order of their handles, which is that of the manifest. */
template <class... Windows> constexpr bool in_order()
{
    uint32_t count = 0;
    return ((Windows::handle == count++) && ...);
}

} // namespace tickwork

/* Defines the regions and the exports of the ABI for an agent class. Stands in exactly one source file. */
#define TICKWORK_AGENT(Class)                                                                                          \
    TW_AGENT(tickwork::Runner<Class>::init, tickwork::Runner<Class>::receive, tickwork::Runner<Class>::step,           \
             tickwork::Runner<Class>::shutdown)

/* Defines the exports that carry the agent's state into another version of it. */
#define TICKWORK_STATE(Class) TW_AGENT_STATE(tickwork::Runner<Class>::save, tickwork::Runner<Class>::load)

/* Lists the windows, in the order of the manifest: static tickwork::Window<0, 4096> board; TICKWORK_WINDOWS(board) */
#define TICKWORK_WINDOWS(...)                                                                                          \
    TW_EXTERN_C TW_EXPORT("tw_windows") const tw_window *tw_windows(void)                                              \
    {                                                                                                                  \
        static_assert([]<class... Listed>(Listed &...) { return tickwork::in_order<Listed...>(); }(__VA_ARGS__),       \
                      "windows are listed in the order of their handles: 0, 1, ...");                                  \
        return tickwork::list_windows(__VA_ARGS__);                                                                    \
    }

#endif
