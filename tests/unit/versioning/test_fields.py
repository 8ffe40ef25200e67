"""
Versioned fields, and the versions of the classes that hold them.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from chariots_core.versioning import (
    Version,
    VersionableMeta,
    VersionedField,
    VersionedFieldDict,
    VersionType,
    version_of,
)

MAJOR, MINOR, PATCH = VersionType.MAJOR, VersionType.MINOR, VersionType.PATCH


def holder(**declared: Any) -> type:
    """
    A class with the given attributes.
    """
    return type("Holder", (), declared)


def changed(left: object, right: object) -> set[VersionType]:
    """
    The digests in which the versions of two classes or objects differ.
    """
    one, other = version_of(left), version_of(right)
    return {kind for kind in VersionType if getattr(one, kind.value) != getattr(other, kind.value)}


@pytest.mark.parametrize("kind", VersionType)
def test_a_field_counts_in_its_own_digest(kind: VersionType) -> None:
    """
    Another value changes the digest that the field names, and no other.
    """
    assert {kind} == changed(
        holder(depth=VersionedField(1, kind)), holder(depth=VersionedField(2, kind))
    )


def test_the_name_counts() -> None:
    """
    The same value under another name is another version.
    """
    assert {MINOR} == changed(
        holder(a=VersionedField(1, MINOR)), holder(b=VersionedField(1, MINOR))
    )


def test_order_of_declaration_does_not_count() -> None:
    """
    Moving a field up or down in a class changes no version.
    """
    a, b = VersionedField(1, MINOR), VersionedField(2, MINOR)

    assert version_of(holder(a=a, b=b)) == version_of(holder(b=b, a=a))
    assert version_of(holder(p=VersionedFieldDict(MINOR, {"a": a, "b": b}))) == version_of(
        holder(p=VersionedFieldDict(MINOR, {"b": b, "a": a}))
    )


def test_classes_without_fields_have_the_empty_version() -> None:
    """
    Plain attributes do not count.
    """
    assert Version() == version_of(holder(depth=3))


def test_fields_read_as_plain_values() -> None:
    """
    The class and its objects give the value, nested fields unwrapped.
    """
    cls: Any = holder(
        depth=VersionedField(3, MINOR),
        nested=VersionedField({"a": [VersionedField(1, PATCH)]}, MAJOR),
    )

    assert (3, 3, {"a": [1]}) == (cls.depth, cls().depth, cls().nested)


def test_fields_are_read_only() -> None:
    """
    An instance can neither set nor delete a field; the class keeps its value.
    """
    cls: Any = holder(depth=VersionedField(3, MINOR))
    instance = cls()

    with pytest.raises(AttributeError, match="'depth' of 'Holder' is read-only: declare it anew"):
        instance.depth = 4
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del instance.depth
    assert (3, 3) == (instance.depth, cls.depth)


class Grandparent:
    depth = VersionedField(1, MINOR)
    width = VersionedField(1, MAJOR)


class Parent(Grandparent):
    depth = VersionedField(2, MINOR)


class Mixin:
    seed = VersionedField(7, PATCH)


def test_fields_are_inherited_through_all_bases() -> None:
    """
    A grandchild has the fields of its parents, mixins too; the nearest declaration wins.
    """

    class Child(Parent, Mixin):
        pass

    class Flat:
        depth = VersionedField(2, MINOR)
        width = VersionedField(1, MAJOR)
        seed = VersionedField(7, PATCH)

    assert version_of(Flat) == version_of(Child)
    assert {MINOR, PATCH} == changed(Grandparent, Child)


def test_a_plain_attribute_hides_a_field() -> None:
    """
    A subclass that declares the name without a version takes the field out.
    """

    class Child(Mixin):
        seed = 8

    assert Version() == version_of(Child)


def test_dict_values_count_by_their_own_type() -> None:
    """
    In a versioned dict, a plain value counts as the dict says, a field as it says itself.
    """

    def cls(depth: int, seed: int) -> type:
        parameters = {"depth": depth, "seed": VersionedField(seed, PATCH)}
        return holder(parameters=VersionedFieldDict(MAJOR, parameters))

    assert (set(), {MAJOR}, {PATCH}) == (
        changed(cls(1, 1), cls(1, 1)),
        changed(cls(1, 1), cls(2, 1)),
        changed(cls(1, 1), cls(1, 2)),
    )


def test_nested_fields_count_by_their_own_type() -> None:
    """
    A field deep inside a value changes its own digest only.
    """

    def cls(depth: int, seed: int) -> type:
        value = {"depth": depth, "more": [VersionedField({"seed": seed}, PATCH)]}
        return holder(parameters=VersionedField(value, MAJOR))

    assert ({MAJOR}, {PATCH}) == (
        changed(cls(1, 1), cls(2, 1)),
        changed(cls(1, 1), cls(1, 2)),
    )


def test_dict_acts_as_a_dict_of_plain_values() -> None:
    """
    Reading, setting, deleting and iterating work as with a dict; fields are on the side.
    """
    parameters = VersionedFieldDict(MAJOR, {"a": 1, "b": VersionedField(2, PATCH)})
    parameters["c"] = 3
    del parameters["a"]

    assert {"b": 2, "c": 3} == parameters
    assert {"b": 2, "c": 3} == dict(**parameters)
    assert (2, ["b", "c"], 2) == (parameters["b"], list(parameters), len(parameters))
    assert {"b": PATCH, "c": MAJOR} == {
        key: field.version_type for key, field in parameters.version_dict.items()
    }
    assert "VersionedFieldDict(VersionType.MAJOR, {'b': 2, 'c': 3})" == repr(parameters)


def test_changing_a_dict_changes_the_version() -> None:
    """
    The version is that of the values as they are now.
    """
    parameters = VersionedFieldDict(MINOR, {"a": 1})
    cls = holder(parameters=parameters)
    before = version_of(cls)

    parameters["a"] = 2

    assert before.minor != version_of(cls).minor


def test_dict_keys_are_text() -> None:
    """
    A key that is no text is refused.
    """
    with pytest.raises(TypeError, match="key 1 of a versioned dict is not text"):
        VersionedFieldDict(MAJOR, {1: 2})  # type: ignore[dict-item]


def test_instances_add_their_own_fields() -> None:
    """
    A field or dict that an object sets on itself counts in the object's version only.
    """

    class Add:
        def __init__(self, amount: int) -> None:
            self.parameters = VersionedFieldDict(MINOR, {"amount": amount})

    assert {MINOR} == changed(Add(1), Add(2))
    assert version_of(Add(1)) == version_of(Add(1))
    assert Version() == version_of(Add)


class Estimator:
    pass


class OtherEstimator:
    pass


def test_classes_count_by_their_name() -> None:
    """
    Another class as a value is another version.
    """
    assert {MAJOR} == changed(
        holder(model=VersionedField(Estimator, MAJOR)),
        holder(model=VersionedField(OtherEstimator, MAJOR)),
    )


def test_classes_count_with_their_own_version() -> None:
    """
    A class as a value brings the version of its own fields along.
    """

    def model(depth: int) -> type:
        return holder(depth=VersionedField(depth, MINOR))

    assert {MAJOR} == changed(
        holder(model=VersionedField(model(1), MAJOR)), holder(model=VersionedField(model(2), MAJOR))
    )


def test_creation_time_of_code_stays() -> None:
    """
    Asked twice, a class has one version, of one creation time; so has an object.
    """
    cls = holder(depth=VersionedField(1, MINOR))

    assert version_of(cls).creation_time == version_of(cls()).creation_time


def test_metaclass_gives_classes_and_objects_a_version() -> None:
    """
    A class made with the metaclass has `__version__`, and so have its subclasses and objects.
    """

    class Base(metaclass=VersionableMeta):
        depth = VersionedField(1, MINOR)

    class Child(Base):
        width = VersionedField(1, MAJOR)

    assert version_of(Base) == Base.__version__ == Base().__version__  # type: ignore[attr-defined]
    assert version_of(Child) == Child.__version__ != Base.__version__


def test_values_without_canonical_form_are_refused_when_declared() -> None:
    """
    An object whose text is its address is refused at once, with what to version instead.
    """
    with pytest.raises(TypeError, match=r"at \$\['a'\]\[0\] cannot be versioned.*plain data"):
        VersionedField({"a": [object()]}, MAJOR)
    with pytest.raises(TypeError, match="cannot be versioned"):
        VersionedFieldDict(MAJOR, {"a": object()})


def test_version_types_are_checked() -> None:
    """
    A version type that is none is a ValueError.
    """
    with pytest.raises(ValueError, match="not a valid VersionType"):
        VersionedField(1, "huge")  # type: ignore[arg-type]


def test_frozen_values_may_hold_fields() -> None:
    """
    An attrs class with a versioned field as class attribute has a version.
    """

    @attrs.frozen
    class Settings:
        depth: int = 3

    assert {MINOR} == changed(
        holder(settings=VersionedField(Settings(), MINOR)),
        holder(settings=VersionedField(Settings(depth=4), MINOR)),
    )


def test_versioned_dicts_inside_a_field() -> None:
    """
    A versioned dict inside a field reads as a plain dict, and counts entry by entry.
    """

    def cls(depth: int) -> Any:
        inner = VersionedFieldDict(PATCH, {"depth": depth})
        return holder(parameters=VersionedField({"model": inner}, MAJOR))

    assert {"model": {"depth": 1}} == cls(1).parameters
    assert {PATCH} == changed(cls(1), cls(2))


def test_fields_show_what_they_hold() -> None:
    """
    The repr of a field tells its value and its type.
    """
    assert "VersionedField(3, VersionType.MAJOR)" == repr(VersionedField(3, MAJOR))
